"""Inputs of the evaluation: a product's truth, and what each method found, joined on image_id and checked.

Nothing is joined by position. Images that one side lacks, has twice or puts into another split are refused and named.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import branch_names
from stages.core.io.rotation import ROTATED
from stages.core.io.tables import SYNTHETIC, image_files
from stages.core.io.truth import mask_files, read_truth
from stages.core.run.errors import UserError

SHOWN = 5  # ids named in a message
ASIDE = "validation_anomalous"  # labelled anomalies of validation, as the scores call them

Maps = Mapping[str, Float16[np.ndarray, "h w"]]  # by image_id
BranchMaps = Mapping[str, Maps]  # by branch


@dataclass(frozen=True)
class Product:
    """What is known of a product's images, whatever the methods say.

    Attributes:
        truth: TRUTH_COLUMNS of all images, sorted by image_id.
        image_files, mask_files: folders of the files that the columns `file` and `mask_files` name.
    """

    truth: pd.DataFrame
    image_files: Path
    mask_files: Path

    @property
    def test(self) -> pd.DataFrame:
        """Return the rows of the test images."""
        return self.truth[self.truth["split"] == "test"]


def read_product(inputs: Path, truth: Path) -> Product:
    """Read the truth of a split and note where its images and masks are.

    Args:
        inputs, truth: the two folders of a split.

    Raises:
        UserError: the truth is damaged or names an image twice.
    """
    table = read_truth(truth).astype({"is_anomalous": bool}).sort_values("image_id").reset_index(drop=True)
    refuse(table["image_id"][table["image_id"].duplicated()], "images named twice in the truth")
    return Product(table, image_files(inputs), mask_files(truth))


def join_truth(scores: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each scored validation and test image: the truth's columns, then score and branches.

    Scores of synthetic defects, of which the truth knows nothing, are excluded. The split is the truth's; labelled
    anomalies of its validation part are called ASIDE, as in the scores, and training images that were held out in their
    turn ROTATED. Those that a method learned from have no score
    and no row. Rows are sorted by image_id.

    Args:
        truth: without duplicates, see `read_product`.

    Raises:
        UserError: an image_id occurs twice, is missing on one side, has another split there, or has a score that is
            not finite; or there is no test image, or no normal validation image to take a threshold from.
        ValueError: a branch is called like a column of the truth.
    """
    scores = scores[scores["split"] != SYNTHETIC]
    refuse(scores["image_id"][scores["image_id"].duplicated()], "images named twice in the scores")
    refuse(set(scores["image_id"]) - set(truth["image_id"]), "scores for images that the truth does not know")
    aside = (truth["split"] == "validation") & truth["is_anomalous"]
    held_out = (truth["split"] == "train") & truth["image_id"].isin(scores["image_id"][scores["split"] == ROTATED])
    truth = truth.assign(split=truth["split"].mask(aside, ASIDE).mask(held_out, ROTATED))
    required = truth["image_id"][truth["split"].isin(["validation", "test"])]
    refuse(set(required) - set(scores["image_id"]), "validation or test images without a score")
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


def maps_by_image(maps: AnomalyMaps | None, joined: pd.DataFrame, *, not_judged: Collection[str] = ()) -> Maps:
    """Return a method's maps by image_id, not yet loaded; empty when the method makes none.

    Args:
        not_judged: images whose maps are excluded.

    Raises:
        UserError: the array has another shape, has an image twice, lacks an image of `joined` that was not held out in
            turns or has an unknown one, or a map is not finite.
    """
    if maps is None:
        return {}
    ids = pd.Series([key for key in maps.image_ids if key not in not_judged], dtype=object)
    refuse(ids[ids.duplicated()], "images with two maps")
    refuse(set(ids) - set(joined["image_id"]), "maps of images that are not to be evaluated")
    mapped = joined["image_id"][joined["split"] != ROTATED]
    refuse(set(mapped) - set(ids), "scored images without a map")
    return checked_maps(maps.values, maps.image_ids, "maps", not_judged=not_judged)


def branch_maps_by_image(maps: AnomalyMaps | None, *, not_judged: Collection[str] = ()) -> BranchMaps:
    """Return the maps of each branch by image_id; empty where the method has none.

    Args:
        maps: that `maps_by_image` accepted.

    Raises:
        UserError: a branch has not one map for each image, or one that is not finite.
    """
    branches = {} if maps is None else maps.branches
    return {
        name: checked_maps(values, maps.image_ids, f"maps of branch {name}", not_judged=not_judged)
        for name, values in branches.items()
        if maps is not None
    }


def checked_maps(
    values: Float16[np.ndarray, "N h w"], image_ids: Collection[str], what: str, *, not_judged: Collection[str]
) -> Maps:
    """Return the rows of an array by image_id.

    Args:
        what: names the array in errors.

    Raises:
        UserError: there is not one map with at least one cell for each image, or one is not finite.
    """
    if values.ndim != 3 or len(values) != len(image_ids) or 0 in values.shape[1:]:
        raise UserError(
            f"{what}: an array of shape {values.shape} for {len(image_ids)} images: delete the folder and run "
            "`dvc repro`"
        )
    by_id = {key: one for key, one in zip(image_ids, values, strict=True) if key not in not_judged}
    refuse((key for key, one in by_id.items() if not np.isfinite(one).all()), f"{what} that are not finite")
    return by_id


def colour_range(joined: pd.DataFrame, maps: Maps, *, budget: float) -> tuple[float, float]:
    """Return the map values shown as pure blue and pure red, from normal validation images only.

    Blue is the median of their values. Red is the hottest spot that a share of 1 - budget of them stays below, so
    that a normal image shows a red spot about as often as it gives a false alarm.

    Args:
        maps: of all images of `joined`, or empty.

    Returns:
        (low, high) with low < high; (0, 1) without maps.
    """
    if not maps:
        return 0.0, 1.0
    chosen = joined[joined["split"] == "validation"]["image_id"]
    values = [np.asarray(maps[image_id], dtype=np.float32) for image_id in chosen]
    low = float(np.median(np.stack(values)))
    high = float(np.quantile([one.max() for one in values], 1 - budget))
    return low, high if high > low else low + 1.0
