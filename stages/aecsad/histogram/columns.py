"""Fit a histogram model for each grid, score every image, and judge each column on normal images alone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int, UInt8

from stages.aecsad.histogram.edits import edit_components
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.conformal import AUROC, write_jackknife
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.lineage import HISTOGRAM_FILE
from stages.aecsad.model.patch_histogram import (
    HistogramModel,
    fit_histograms,
    histogram_distances,
    write_histogram_models,
)
from stages.core.io.decision import Decision, rounded
from stages.core.io.lineage import Lineage
from stages.core.io.result import SCORES
from stages.core.io.tables import write_table
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reliability(Decision):
    """Weight of one column in the fusion, and why.

    Attributes:
        weight: from 0, excluded, to 1.
        edit_auroc: probability that an edited normal image scores above a normal one; 0.5 where there is no edit.
        inflation: median distance of held-out normal images over that of training images.
    """

    weight: float
    edit_auroc: float
    inflation: float
    reason: str


def judge_column(
    *,
    train: Float64[np.ndarray, " N"],
    validation: Float64[np.ndarray, " V"],
    edited: Float64[np.ndarray, " E"],
    min_edit_auroc: float,
    max_inflation: float,
) -> Reliability:
    """Weigh a column by what it sees of edits, and by how well it carries over to unseen normal images.

        weight = (2 AUROC - 1) / max(1, inflation),  0 where AUROC < min_edit_auroc or inflation > max_inflation

    A histogram finer than the training images support fits them closely: unseen normal images then lie far out, and
    real anomalies no farther, though edits of the same image look easy.

    Args:
        train, validation: distances of normal images.
        edited: distances of validation images after one edit each.
    """
    auroc, inflation = separation(validation, edited), inflation_of(train, validation)
    weight = (2 * auroc - 1) / max(1.0, inflation)
    reason = f"sees {auroc:.1%} of edits, held-out normals {inflation:.2f} times as far as training normals"
    if not validation.any() and not edited.any():
        return Reliability(0.0, auroc, inflation, "excluded: every distance is 0, there is nothing to compare")
    if auroc < min_edit_auroc:
        return Reliability(0.0, auroc, inflation, f"excluded: {reason} (AUROC needed: {min_edit_auroc:.0%})")
    if inflation > max_inflation:
        return Reliability(0.0, auroc, inflation, f"excluded: {reason} (allowed: {max_inflation:g})")
    return Reliability(weight, auroc, inflation, reason)


def inflation_of(train: Float64[np.ndarray, " N"], validation: Float64[np.ndarray, " V"]) -> float:
    """Return how many times as far the median validation image lies as the median training image."""
    inner, outer = float(np.median(train)), float(np.median(validation))
    return outer / inner if inner > 0 else 1.0


@dataclass(frozen=True)
class Judged:
    """What a column is judged by.

    Attributes:
        train, validation: distances of normal images.
        edited: distances of validation images after one edit each.
        sources: the row in `validation` that each edit was made of.
    """

    train: Float64[np.ndarray, " N"]
    validation: Float64[np.ndarray, " V"]
    edited: Float64[np.ndarray, " E"]
    sources: Int[np.ndarray, " E"]

    def verdict(self, params: HistogramParams) -> Reliability:
        """See `judge_column`."""
        return judge_column(
            train=self.train,
            validation=self.validation,
            edited=self.edited,
            min_edit_auroc=params.min_edit_auroc,
            max_inflation=params.max_inflation,
        )

    def without_each(self, params: HistogramParams) -> list[Reliability]:
        """Return the verdict without one validation image and its edits, for each of them.

        With a single one nothing is left to judge by: the column then counts unless there are no components at all,
        whatever that image is like.
        """
        if len(self.validation) == 1:
            return [Reliability(float(self.train.any()), 0.5, 1.0, "no other validation image")]
        return [self.without(row).verdict(params) for row in range(len(self.validation))]

    def without(self, row: int) -> "Judged":
        """Leave one validation image out."""
        kept = self.sources != row
        return Judged(self.train, np.delete(self.validation, row), self.edited[kept], self.sources[kept])


def separation(normal: Float64[np.ndarray, " V"], edited: Float64[np.ndarray, " E"]) -> float:
    """Return the AUROC of edited against normal distances, ties counting half; 0.5 where one of them is empty.

    Counted by hand: it is asked for without each validation image, and scikit-learn's checks would take the most time.
    """
    if not len(normal) or not len(edited):
        return 0.5
    ordered = np.sort(normal)
    below, up_to = (np.searchsorted(ordered, edited, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(normal)))


@dataclass(frozen=True)
class HistogramScores:
    """What the stage found.

    Attributes:
        table: distances of every image (image_id, split, a column for each grid; all splits).
        models: one for each grid.
        reliability: of each column.
        without: the same without one validation image, for each of them in the table's order.
    """

    table: pd.DataFrame
    models: tuple[HistogramModel, ...]
    reliability: Mapping[str, Reliability]
    without: Mapping[str, Sequence[Reliability]]

    def as_json(self) -> dict[str, Any]:
        """Return the number of classes, the weight of each column, and the reasons for the weights."""
        return {
            "num_classes": self.models[0].num_classes,
            "weights": rounded({name: column.weight for name, column in self.reliability.items()}),
            "columns": {name: column.as_json() for name, column in self.reliability.items()},
        }


def score_histograms(
    images: pd.DataFrame, label_maps: LabelMaps, params: HistogramParams, *, seed: int
) -> HistogramScores:
    """Fit on the training images, score all, and judge the columns by validation images and edits of them.

    Test images are scored and nothing else: no weight depends on them.

    Args:
        images: the image table.
        seed: of the edits.

    Raises:
        UserError: an image has no label map, or there are too few normal images.
    """
    table, maps = images[["image_id", "split"]].reset_index(drop=True), values_of(images["image_id"], label_maps)
    train, validation = normal_rows(table["split"])
    num_classes, random = label_maps.num_classes, np.random.default_rng(seed)
    edited, sources = edit_components(
        maps[validation], num_classes=num_classes, edits_per_image=params.edits_per_image, min_area=params.min_area,
        max_area=params.max_area, random=random,
    )  # fmt: skip
    models, verdicts, without = [], {}, {}
    for grid in progress(params.grids, total=len(params.grids), label="patch histograms"):
        model = fit_histograms(maps[train], grid=grid, num_classes=num_classes, shrinkage=params.shrinkage)
        distances = histogram_distances(model, maps)
        judged = Judged(distances[train], distances[validation], histogram_distances(model, edited), sources)
        verdict = judged.verdict(params)
        without[model.column] = judged.without_each(params)
        LOG.info("%s: weight %.2f, %s", model.column, verdict.weight, verdict.reason)
        table[model.column], verdicts[model.column] = distances, verdict
        models.append(model)
    return HistogramScores(table, tuple(models), verdicts, without)


def normal_rows(split: pd.Series) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return which images are training images, and which are normal validation images.

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
    """Return the label maps of the images, in their order.

    Raises:
        UserError: an image has no label map.
    """
    row = {image_id: number for number, image_id in enumerate(label_maps.image_ids)}
    missing = [image_id for image_id in image_ids if image_id not in row]
    if missing:
        raise UserError(f"{len(missing)} images have no label map, {missing[0]} first: run `dvc repro`")
    return label_maps.values[[row[image_id] for image_id in image_ids]]


def write_histograms(folder: Path, result: HistogramScores, *, made_from: Lineage) -> None:
    """Write `folder`/scores.parquet, `folder`/model.npz and the weights without one image each, all or nothing.

    Args:
        folder: of the stage.
        result: to write.
        made_from: what made the label maps.
    """
    with replacing_folder(folder) as temporary:
        write_table(temporary / SCORES, result.table, columns=["image_id", "split"])
        weights = {name: [one.weight for one in column] for name, column in result.without.items()}
        seen = {name + AUROC: [one.edit_auroc for one in column] for name, column in result.without.items()}
        validation = result.table["image_id"][result.table["split"] == "validation"]
        write_jackknife(temporary, validation.to_list(), pd.DataFrame(weights | seen))
        write_histogram_models(temporary / HISTOGRAM_FILE, result.models, made_from=made_from)
