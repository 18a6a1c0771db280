"""Scores beside the truth: joined on image_id, and refused when they do not fit together.

A method's anomaly maps by image, and the values that the colours of its heatmaps stand for.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.io.maps import read_anomaly_maps
from stages.core.io.result import branch_names
from stages.core.io.tables import SYNTHETIC
from stages.core.run.errors import UserError

SHOWN = 5  # ids named in a message
LOG = logging.getLogger(__name__)


def join_truth(scores: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """One row for each scored validation and test image: the truth's columns, then score and branches.

    Scores of synthetic defects, of which the truth knows nothing, are left out. The split is the truth's; labelled
    anomalies of its validation part are called `validation_anomalous`, as in the scores. Those that a method learned
    from have no score and no row. Rows are sorted by image_id.

    Raises:
        UserError: an image_id occurs twice, is missing on one side, has another split there, or has a score that is
            not finite; or there is no test image, or no normal validation image to take a threshold from.
        ValueError: a branch is called like a column of the truth.
    """
    scores = scores[scores["split"] != SYNTHETIC]
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
        raise UserError(f"{what}: {', '.join(found[:SHOWN])}{more}: run `dvc repro` to make both again")


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


def open_maps(
    path: Path, joined: pd.DataFrame, *, unjudged: Collection[str] = ()
) -> dict[str, Float16[np.ndarray, "h w"]]:
    """Maps by image_id, not yet loaded; empty when the folder is not there, as the method then makes none.

    Args:
        unjudged: images whose maps are left out.

    Raises:
        UserError: the folder is damaged, has an image twice, lacks a test image, has an unknown one, or a map is not
            finite.
    """
    if not path.exists():
        return {}
    maps = read_anomaly_maps(path)
    if maps.values.ndim != 3 or len(maps.values) != len(maps.image_ids) or 0 in maps.values.shape[1:]:
        raise UserError(
            f"{path}: {len(maps.image_ids)} image_ids for an array of shape {maps.values.shape}: delete it and run "
            "`dvc repro`"
        )
    by_id = {key: one for key, one in zip(maps.image_ids, maps.values, strict=True) if key not in unjudged}
    ids = pd.Series([key for key in maps.image_ids if key not in unjudged], dtype=object)
    refuse(ids[ids.duplicated()], f"{path}: maps that are there twice")
    refuse(set(ids) - set(joined["image_id"]), f"{path}: maps of images that are not to be evaluated")
    refuse(set(joined["image_id"][joined["split"] == "test"]) - set(ids), f"{path}: test images without a map")
    refuse((name for name, one in by_id.items() if not np.isfinite(one).all()), f"{path}: maps that are not finite")
    return by_id


def open_branch_maps(path: Path, *, unjudged: Collection[str] = ()) -> dict[str, dict[str, Float16[np.ndarray, "h w"]]]:
    """Maps by branch and image_id of a folder that `open_maps` passed; empty where the method tells no branches.

    Raises:
        UserError: a branch has not one map for each image, or one that is not finite.
    """
    if not path.exists():
        return {}
    maps = read_anomaly_maps(path)
    for name, values in maps.branches.items():
        if values.ndim != 3 or len(values) != len(maps.image_ids) or 0 in values.shape[1:]:
            raise UserError(
                f"{path}/branches/{name}.npy: an array of shape {values.shape} for {len(maps.image_ids)} image_ids: "
                "delete the folder and run `dvc repro`"
            )
        odd = (key for key, one in zip(maps.image_ids, values, strict=True) if not np.isfinite(one).all())
        refuse(odd, f"{path}/branches/{name}.npy: maps that are not finite")
    return {
        name: {key: one for key, one in zip(maps.image_ids, values, strict=True) if key not in unjudged}
        for name, values in maps.branches.items()
    }


def colour_range(
    joined: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "h w"]], *, budget: float
) -> tuple[float, float]:
    """Map values shown as pure blue and pure red, from normal validation images only.

    Blue is the median of their values. Red is the hottest spot that a share of 1 - budget of them stays below, so
    that a normal image shows a red spot about as often as it gives a false alarm.

    Returns:
        (low, high) with low < high; (0, 1) without maps.
    """
    if not maps:
        return 0.0, 1.0
    chosen = joined[joined["split"] == "validation"]["image_id"]
    values = [np.asarray(maps[image_id], dtype=np.float32) for image_id in chosen if image_id in maps]
    if not values:
        LOG.warning("no normal validation image has a map: the colours of the heatmaps span all maps instead")
        values = [np.asarray(one, dtype=np.float32) for one in maps.values()]
    low = float(np.median(np.stack(values)))
    high = float(np.quantile([one.max() for one in values], 1 - budget))
    return low, high if high > low else low + 1.0
