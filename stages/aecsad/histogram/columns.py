"""Fit a histogram model for each grid, score every image, and judge each column on normal images alone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64, UInt8

from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.conformal import AUROC, LARGEST, write_jackknife
from stages.aecsad.model.edited import EditedPictures, Seen, rows_of_sources, see_edits
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.lineage import HISTOGRAM_FILE
from stages.aecsad.model.patch_histogram import fit_histograms, write_histogram_models
from stages.core.io.decision import Decision, rounded
from stages.core.io.lineage import Lineage
from stages.core.io.result import SCORES
from stages.core.io.rotation import ROTATED
from stages.core.io.tables import write_table
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.histograms import HistogramModel, histogram_distances

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reliability(Decision):
    """Weight of one column in the fusion, and why.

    Attributes:
        weight: from 0, excluded, to 1.
        edit_auroc: probability that an edited picture scores above a normal image, mean over the kinds of edits; 0.5
            where there is no edit.
        edits: the same for each kind of edit.
        inflation: median distance of held-out normal images over that of training images.
    """

    weight: float
    edit_auroc: float
    edits: Mapping[str, float]
    inflation: float
    reason: str


def judge_column(
    *,
    train: Float64[np.ndarray, " N"],
    validation: Float64[np.ndarray, " V"],
    seen: Seen,
    min_edit_auroc: float,
    max_inflation: float,
) -> Reliability:
    """Weigh a column by what it sees of edited pictures, and by how well it carries over to unseen normal images.

        weight = (2 AUROC - 1) / max(1, inflation),
        0 where AUROC < min_edit_auroc or may be chance, or inflation > max_inflation

    A histogram finer than the training images support fits them closely: unseen normal images then lie far out, and
    real anomalies no farther, though edits of the same image look easy.

    Args:
        train, validation: distances of normal images.
        seen: edited pictures against these validation images.
        min_edit_auroc, max_inflation: limits.
    """
    inflation = inflation_of(train, validation)
    kinds = ", ".join(f"{kind} {auroc:.0%}" for kind, auroc in seen.kinds.items()) or "there are none"
    reason = (
        f"sees {seen.auroc:.1%} of edited pictures ({kinds}), "
        f"held-out normals {inflation:.2f} times as far as training normals"
    )
    fault = ""
    if not validation.any() and seen.auroc == 0.5:
        reason, fault = "every distance is 0, there is nothing to compare", " "
    elif seen.auroc < min_edit_auroc:
        fault = f" (AUROC needed: {min_edit_auroc:.0%})"
    elif not seen.above_chance:
        fault = " (which may be chance)"
    elif inflation > max_inflation:
        fault = f" (allowed: {max_inflation:g})"
    if fault:
        return Reliability(0.0, seen.auroc, seen.kinds, inflation, f"excluded: {reason}{fault}".strip())
    weight = (2 * seen.auroc - 1) / max(1.0, inflation)
    return Reliability(weight, seen.auroc, seen.kinds, inflation, reason)


def inflation_of(train: Float64[np.ndarray, " N"], validation: Float64[np.ndarray, " V"]) -> float:
    """Return how many times as far the median validation image lies as the median training image."""
    inner, outer = float(np.median(train)), float(np.median(validation))
    return outer / inner if inner > 0 else 1.0


@dataclass(frozen=True)
class Judged:
    """What a column is judged by.

    Attributes:
        train, validation: distances of normal images.
        edited: distances of edited pictures.
        rows: of each edited picture's source in `validation`.
        kinds: of each edited picture.
    """

    train: Float64[np.ndarray, " N"]
    validation: Float64[np.ndarray, " V"]
    edited: Float64[np.ndarray, " M"]
    rows: Int64[np.ndarray, " M"]
    kinds: Sequence[str]

    def verdict(self, params: HistogramParams) -> Reliability:
        """See `judge_column`."""
        return judge_column(
            train=self.train,
            validation=self.validation,
            seen=see_edits(self.validation, self.edited, rows=self.rows, kinds=self.kinds),
            min_edit_auroc=params.min_edit_auroc,
            max_inflation=params.max_inflation,
        )

    def without_each(self, params: HistogramParams) -> list[Reliability]:
        """Return the verdict without one validation image and what was made of it, for each of them.

        With a single one nothing is left to judge by: the column then counts unless there are no components at all,
        whatever that image is like. None where there are too many for one to matter.
        """
        if len(self.validation) == 1:
            return [Reliability(float(self.train.any()), 0.5, {}, 1.0, "no other validation image")]
        if len(self.validation) > LARGEST:
            return []
        return [self.without(row).verdict(params) for row in range(len(self.validation))]

    def without(self, row: int) -> "Judged":
        """Leave one validation image out."""
        kept = self.rows != row
        kinds = [kind for kind, stays in zip(self.kinds, kept, strict=True) if stays]
        rows = self.rows[kept]
        return Judged(self.train, np.delete(self.validation, row), self.edited[kept], rows - (rows > row), kinds)


@dataclass(frozen=True)
class HistogramScores:
    """What the stage found.

    Attributes:
        table: distances of every image (image_id, split, a column for each grid; all splits, see also `add_turns`).
        models: one for each grid.
        reliability: of each column.
        without: the same without one validation image, for each of them in the table's order.
    """

    table: pd.DataFrame
    models: tuple[HistogramModel, ...]
    reliability: Mapping[str, Reliability]
    without: Mapping[str, Sequence[Reliability]]

    @property
    def covered(self) -> bool:
        """Whether any column sees logical anomalies: those of our own making, for lack of others."""
        return any(column.weight > 0 for column in self.reliability.values())

    def as_json(self) -> dict[str, Any]:
        """Return the number of classes, the weight of each column, and the reasons for the weights."""
        return {
            "covered": self.covered,
            "num_classes": self.models[0].num_classes,
            "weights": rounded({name: column.weight for name, column in self.reliability.items()}),
            "columns": {name: column.as_json() for name, column in self.reliability.items()},
        }


def score_histograms(
    images: pd.DataFrame, label_maps: LabelMaps, edited: EditedPictures, params: HistogramParams
) -> HistogramScores:
    """Fit on the training images, score all, and judge the columns by validation images and edits of them.

    Test images are scored and nothing else: no weight depends on them.

    Args:
        images: the image table.
        label_maps: of these images.
        edited: label maps of pictures made from validation images.
        params: grids and limits.

    Raises:
        UserError: an image has no label map, there are too few normal images, or others were edited.
    """
    table, maps = images[["image_id", "split"]].reset_index(drop=True), values_of(images["image_id"], label_maps)
    train, validation = normal_rows(table["split"])
    rows = rows_of_sources(edited, table["image_id"][validation].tolist())
    models, verdicts, without = [], {}, {}
    for grid in progress(params.grids, total=len(params.grids), label="patch histograms"):
        model = fit_histograms(maps[train], grid=grid, num_classes=label_maps.num_classes, shrinkage=params.shrinkage)
        distances = histogram_distances(model, maps)
        seen = histogram_distances(model, edited.values)
        judged = Judged(distances[train], distances[validation], seen, rows, edited.kinds)
        verdict, without[model.column] = judged.verdict(params), judged.without_each(params)
        LOG.info("%s: weight %.2f, %s", model.column, verdict.weight, verdict.reason)
        table[model.column], verdicts[model.column] = distances, verdict
        models.append(model)
    result = HistogramScores(table, tuple(models), verdicts, without)
    if not result.covered:
        LOG.warning("logical anomalies are not covered: no grid sees edited pictures, the histogram branch is excluded")
    return result


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
        by_split = result.table.groupby("split")["image_id"].apply(list)
        rotated = by_split.get(ROTATED, [])
        image_ids = [*by_split.get("validation", []), *rotated]
        if len(image_ids) <= LARGEST:  # no weight depends on a rotated image
            rows = {
                name: [*column, *[result.reliability[name]] * len(rotated)] for name, column in result.without.items()
            }
            weights = {name: [one.weight for one in column] for name, column in rows.items()}
            seen = {name + AUROC: [one.edit_auroc for one in column] for name, column in rows.items()}
            write_jackknife(temporary, image_ids, pd.DataFrame(weights | seen))
        write_histogram_models(temporary / HISTOGRAM_FILE, result.models, made_from=made_from)
