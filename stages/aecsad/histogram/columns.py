"""Fit a histogram model for each grid, score every image, and judge each column on normal images alone."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from stages.aecsad.histogram.judging import Judged, Reliability, normal_rows
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.histogram.parts import PartScores, score_parts
from stages.aecsad.model.conformal import AUROC, LARGEST, write_jackknife
from stages.aecsad.model.edited import EditedPictures, rows_of_sources
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.lineage import HISTOGRAM_FILE
from stages.aecsad.model.part_numbers import PARTS, PartAreas, part_model_arrays, write_findings
from stages.aecsad.model.patch_histogram import fit_histograms, write_histogram_models
from stages.core.io.decision import rounded
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
class HistogramScores:
    """What the stage found.

    Attributes:
        table: distances of every image (image_id, split, a column for each grid; all splits, see also `add_turns`).
        models: one for each grid.
        reliability: of each column.
        without: the same and that of `parts` without one validation image, for each of them in the table's order.
        parts: of numbers of parts, a branch by itself; None without one.
    """

    table: pd.DataFrame
    models: tuple[HistogramModel, ...]
    reliability: Mapping[str, Reliability]
    without: Mapping[str, Sequence[Reliability]]
    parts: PartScores | None = None

    @property
    def judged(self) -> Mapping[str, Reliability]:
        """How far every column can be relied on, that of numbers of parts among them."""
        return {**self.reliability, **({} if self.parts is None else {PARTS: self.parts.verdict})}

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
            PARTS: None if self.parts is None else self.parts.verdict.as_json(),
        }


def score_histograms(
    images: pd.DataFrame,
    label_maps: LabelMaps,
    edited: EditedPictures,
    parts: Mapping[int, PartAreas],
    params: HistogramParams,
) -> HistogramScores:
    """Fit on the training images, score all, and judge the columns by validation images and edits of them.

    Test images are scored and nothing else: no weight depends on them.

    Args:
        images: the image table.
        label_maps: of these images.
        edited: label maps of pictures made from validation images.
        parts: areas of kinds of parts in both, under VALIDATION_FOLD, and in turns by fold.
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
        judged = Judged(
            distances[train], distances[validation], seen, rows, edited.kinds, params.min_edit_auroc
        )  # fmt: skip
        verdict, without[model.column] = judged.verdict(params), judged.without_each(params)
        LOG.info("%s: weight %.2f, %s", model.column, verdict.weight, verdict.reason)
        table[model.column], verdicts[model.column] = distances, verdict
        models.append(model)
    counted = score_parts(images, parts, edited, params)
    if counted is not None:
        table[PARTS], without[PARTS] = counted.distances, list(counted.without)
    result = HistogramScores(table, tuple(models), verdicts, without, counted)
    if not result.covered:
        LOG.warning("logical anomalies are not covered: no grid sees edited pictures, the histogram branch is excluded")
    return result


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
            rows = {name: [*column, *[result.judged[name]] * len(rotated)] for name, column in result.without.items()}
            weights = {name: [one.weight for one in column] for name, column in rows.items()}
            seen = {name + AUROC: [one.edit_auroc for one in column] for name, column in rows.items()}
            write_jackknife(temporary, image_ids, pd.DataFrame(weights | seen))
        model, findings = (None, {}) if result.parts is None else (result.parts.model, result.parts.findings)
        write_findings(temporary, findings)
        write_histogram_models(
            temporary / HISTOGRAM_FILE, result.models, made_from=made_from, **part_model_arrays(model)
        )
