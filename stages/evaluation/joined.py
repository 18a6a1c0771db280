"""Scores beside the truth: joined on image_id, and refused when they do not fit together."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from stages.core.artifacts.images import PLANTED
from stages.core.artifacts.scores import branch_names
from stages.core.running.errors import UserError

SHOWN = 5  # ids named in a message


def join_truth(scores: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """One row for each scored validation and test image: the truth's columns, then score and branches.

    Scores of planted defects, of which the truth knows nothing, are left out. The split is the truth's; labelled
    anomalies of its validation part are called `validation_anomalous`, as in the scores. Those that a method learned
    from have no score and no row. Rows are sorted by image_id.

    Raises:
        UserError: an image_id occurs twice, is missing on one side, has another split there, or has a score that is
            not finite; or there is no test image, or no normal validation image to take a threshold from.
        ValueError: a branch is called like a column of the truth.
    """
    scores = scores[scores["split"] != PLANTED]
    for name, table in (("scores", scores), ("truth", truth)):
        refuse(table["image_id"][table["image_id"].duplicated()], f"images named twice in the {name}")
    refuse(set(scores["image_id"]) - set(truth["image_id"]), "scores for images that the truth does not know")
    truth = truth.astype({"is_anomalous": bool})
    aside = (truth["split"] == "validation") & truth["is_anomalous"]
    truth = truth.assign(split=truth["split"].mask(aside, "validation_anomalous"))
    judged = truth[truth["split"].isin(["validation", "test"])]
    refuse(set(judged["image_id"]) - set(scores["image_id"]), "validation or test images without a score")
    columns = ["split", "score", *branch_names(scores)]
    if taken := set(columns[1:]) & set(truth.columns):
        raise ValueError(f"a branch has the name of a column of the truth: {sorted(taken)}")
    joined = truth.merge(scores[["image_id", *columns]], on="image_id", suffixes=("", "_of_scores"))
    wrong = joined["split"] != joined["split_of_scores"]
    refuse(joined["image_id"][wrong], "scores that name another split than the truth")
    joined = joined[joined["split"] != "train"].drop(columns="split_of_scores")
    for column in columns[1:]:
        refuse_not_finite(joined, column)
    refuse_empty(joined)
    return joined.sort_values("image_id").reset_index(drop=True)


def refuse(image_ids: Iterable[str], what: str) -> None:
    """Raise a UserError that names the images, unless there are none."""
    found = sorted(map(str, image_ids))
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise UserError(f"{what}: {', '.join(found[:SHOWN])}{more}: run `dvc repro` to make both anew")


def refuse_not_finite(joined: pd.DataFrame, column: str) -> None:
    """Refuse NaN and infinity; a branch that is NaN throughout was dropped by its method and is allowed."""
    values = joined[column].to_numpy(dtype=np.float64)
    if column != "score" and np.isnan(values).all():
        return
    refuse(joined["image_id"][~np.isfinite(values)], f"the column {column!r} of the scores is not finite for")


def refuse_empty(joined: pd.DataFrame) -> None:
    """Refuse a set without test images or without normal validation images."""
    if not (joined["split"] == "test").any():
        raise UserError("there is no test image to evaluate: give the source a test part, or change `split.ratios`")
    if not (joined["split"] == "validation").any():
        raise UserError(
            "there is no normal validation image to take a threshold from: give the source a validation part, or "
            "change `split.ratios`"
        )
