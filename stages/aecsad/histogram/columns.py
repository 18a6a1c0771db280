"""Fit a histogram model a grid, score every image, and judge each column."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, UInt8

from stages.aecsad.histogram.edits import edit_components
from stages.aecsad.histogram.reliability import Reliability, judge_column
from stages.core.artifacts.label_maps import LabelMaps
from stages.core.patch_histogram import HistogramModel, fit_histograms, histogram_distances
from stages.core.running.console import progress
from stages.core.running.errors import UserError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class HistogramScores:
    """Distances of every image (image_id, split, one column a grid, all splits), the models, and the verdicts."""

    table: pd.DataFrame
    models: tuple[HistogramModel, ...]
    reliability: Mapping[str, Reliability]

    def as_json(self) -> dict[str, Any]:
        return {
            "num_classes": self.models[0].num_classes,
            "weights": {name: round(verdict.weight, 4) for name, verdict in self.reliability.items()},
            "columns": {name: verdict.as_json() for name, verdict in self.reliability.items()},
        }


def score_histograms(
    images: pd.DataFrame,
    label_maps: LabelMaps,
    *,
    grids: Sequence[int],
    shrinkage: float,
    min_edit_auroc: float,
    max_inflation: float,
    seed: int,
    **editing: Any,
) -> HistogramScores:
    """Fit on the training images, score all, and judge the columns by validation images and edits of them.

    Test images are scored and nothing else: no weight depends on them.

    Args:
        images: the image table.
        grids: cells along a side; each gives a column `histogram_GxG`.
        shrinkage: see `fit_histograms`.
        min_edit_auroc, max_inflation: see `judge_column`.
        editing: further arguments of `edit_components`.

    Raises:
        UserError: an image has no label map, or there are too few normal images.
    """
    table, maps = images[["image_id", "split"]].reset_index(drop=True), values_of(images["image_id"], label_maps)
    train, validation = normal_rows(table["split"])
    num_classes, random = label_maps.num_classes, np.random.default_rng(seed)
    edited = edit_components(maps[validation], num_classes=num_classes, random=random, **editing)
    models, verdicts = [], {}
    for grid in progress(grids, total=len(grids), label="patch histograms"):
        model = fit_histograms(maps[train], grid=grid, num_classes=num_classes, shrinkage=shrinkage)
        distances = histogram_distances(model, maps)
        verdict = judge_column(
            train=distances[train],
            validation=distances[validation],
            edited=histogram_distances(model, edited),
            min_edit_auroc=min_edit_auroc,
            max_inflation=max_inflation,
        )
        LOG.info("%s: weight %.2f, %s", model.column, verdict.weight, verdict.reason)
        table[model.column], verdicts[model.column] = distances, verdict
        models.append(model)
    return HistogramScores(table, tuple(models), verdicts)


def normal_rows(split: pd.Series) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Which images are training images, and which are normal validation images.

    Raises:
        UserError: fewer than two training images or no validation image.
    """
    train, validation = (split == "train").to_numpy(), (split == "validation").to_numpy()
    if train.sum() < 2 or not validation.any():
        raise UserError(
            f"{train.sum()} training and {validation.sum()} normal validation images are too few for patch "
            "histograms (2 and 1 are needed): add normal images or change the split's ratios"
        )
    return train, validation


def values_of(image_ids: pd.Series, label_maps: LabelMaps) -> UInt8[np.ndarray, "N H W"]:
    """The label maps of the images, in their order.

    Raises:
        UserError: an image has no label map.
    """
    row = {image_id: number for number, image_id in enumerate(label_maps.image_ids)}
    missing = [image_id for image_id in image_ids if image_id not in row]
    if missing:
        raise UserError(f"{len(missing)} images have no label map, {missing[0]} first: run `dvc repro`")
    return label_maps.values[[row[image_id] for image_id in image_ids]]
