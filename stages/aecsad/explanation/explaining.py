"""Explain every image that is judged."""

from collections.abc import Mapping

import pandas as pd

from stages.aecsad.explanation.components import explain_components, fit_components
from stages.core.artifacts.anomaly_maps import AnomalyMaps
from stages.core.artifacts.explanations import Explanation
from stages.core.artifacts.label_maps import LabelMaps
from stages.core.explaining.hot_spots import explain_map, fit_spots, usual_classes
from stages.core.running.console import progress
from stages.core.running.errors import UserError

BRANCH = "student_teacher"


def explain_images(
    images: pd.DataFrame,
    label_maps: LabelMaps,
    maps: AnomalyMaps,
    *,
    kept: int,
    seed: int,
    **fitting: float | int,
) -> dict[str, list[Explanation]]:
    """The most unusual findings in each validation and test image; what is normal comes from training images.

    How hot a map's hottest spot normally is comes from normal validation images. No label is read.

    Args:
        kept: findings by components in an image.
        fitting: further arguments of `fit_components`.

    Raises:
        UserError: an image has no label map or no anomaly map.
    """
    rows, num_classes = rows_of(images, label_maps, maps), label_maps.num_classes
    train = label_maps.values[rows["label_row"][rows["split"] == "train"].to_numpy()]
    normal = fit_components(train, num_classes=num_classes, seed=seed, **fitting) if num_classes > 1 else None  # type: ignore[arg-type]
    validation = maps.values[rows["map_row"][rows["split"] == "validation"].to_numpy()]
    spots = fit_spots(BRANCH, validation, usual_classes(train, num_classes=num_classes))
    explained = {}
    judged = rows[rows["split"] != "train"]
    columns = zip(judged["image_id"], judged["label_row"], judged["map_row"], strict=True)
    for image_id, label_row, map_row in progress(columns, total=len(judged), label="explanations"):
        labels = label_maps.values[label_row]
        spot = explain_map(spots, maps.values[map_row], labels)
        parts = explain_components(normal, labels)[:kept] if normal is not None else []
        explained[str(image_id)] = [*parts, spot]
    return explained


def rows_of(images: pd.DataFrame, label_maps: LabelMaps, maps: AnomalyMaps) -> pd.DataFrame:
    """The image table with columns label_row and map_row; training images need no anomaly map.

    Raises:
        UserError: a row is missing.
    """
    table = images.assign(
        label_row=positions(images["image_id"], label_maps.image_ids),
        map_row=positions(images["image_id"], maps.image_ids),
    )
    missing = table[(table["label_row"] < 0) | ((table["map_row"] < 0) & (table["split"] != "train"))]
    if len(missing):
        first = missing["image_id"].iloc[0]
        raise UserError(f"{len(missing)} images have no label map or no anomaly map, {first} first: run `dvc repro`")
    return table


def positions(wanted: pd.Series, image_ids: tuple[str, ...]) -> list[int]:
    """The place of each id, -1 where it is not there."""
    rows: Mapping[str, int] = {image_id: number for number, image_id in enumerate(image_ids)}
    return [rows.get(image_id, -1) for image_id in wanted]
