"""The column `parts`: numbers of parts by kind, wherever they lie; judged like histograms, and a branch by itself."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from stages.aecsad.histogram.judging import Judged, Reliability, normal_rows
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.edited import EditedPictures, rows_of_sources
from stages.aecsad.model.part_numbers import (
    PARTS,
    PartAreas,
    PartModel,
    fit_part_model,
    part_distances,
)
from stages.core.io.rotation import VALIDATION_FOLD
from stages.core.run.errors import UserError
from stages.core.runtime.counting import NumberFinding, number_findings

LOG = logging.getLogger(__name__)
# A part more or less must be more unusual than nine in ten normal images more often than not, which is an AUROC of
# about 0.8; else the numbers of parts are no law of the product, and what breaks them is no anomaly.
LAW = 0.8


@dataclass(frozen=True)
class PartScores:
    """What the column says.

    Attributes:
        distances: of every image, in the image table's order.
        model: that they were measured by.
        verdict: how far the column can be relied on.
        without: the same without one validation image, for each of them.
        findings: by image_id, of images that are not for training.
    """

    distances: Float64[np.ndarray, " N"]
    model: PartModel
    verdict: Reliability
    without: Sequence[Reliability]
    findings: Mapping[str, Sequence[NumberFinding]]


def score_parts(
    images: pd.DataFrame, turns: Mapping[int, PartAreas], edited: EditedPictures, params: HistogramParams
) -> PartScores | None:
    """Fit on training images, score all, and judge by edited pictures; None where no kinds of parts were found.

    Nor where a turn of rotating validation found none: its images could not be scored.

    Args:
        images: the image table.
        turns: areas of these images and of the edited pictures, under VALIDATION_FOLD, and of turns by fold.
        edited: of which images and kinds these are.
        params: limits.

    Raises:
        UserError: an image has no areas, there are too few normal images, or others were edited.
    """
    if not all(one.areas.shape[1] for one in turns.values()):
        return None
    parts = turns[VALIDATION_FOLD]
    model, distances = measure(images, parts)
    train, validation = normal_rows(images["split"])
    rows = rows_of_sources(edited, images["image_id"][validation].tolist())
    judged = Judged(
        distances[train], distances[validation], part_distances(model, parts.edited), rows, edited.kinds,
        max(params.min_edit_auroc, LAW),
    )  # fmt: skip
    verdict = judged.verdict(params)
    LOG.info("%s: weight %.2f, %s", PARTS, verdict.weight, verdict.reason)
    judged_ids = set(images["image_id"][~train])
    findings = {
        str(image_id): number_findings(model.numbers, areas)
        for image_id, areas in zip(images["image_id"], areas_of(images["image_id"], parts), strict=True)
        if image_id in judged_ids
    }
    return PartScores(distances, model, verdict, judged.without_each(params), findings)


def measure(images: pd.DataFrame, parts: PartAreas) -> tuple[PartModel, Float64[np.ndarray, " N"]]:
    """Fit on the training images of an image table, and return the distance of each of its images.

    Raises:
        UserError: an image has no areas, or there are too few normal images.
    """
    areas = areas_of(images["image_id"], parts)
    train, _ = normal_rows(images["split"])
    model = fit_part_model(parts, areas[train])
    return model, part_distances(model, areas)


def areas_of(image_ids: pd.Series, parts: PartAreas) -> Float64[np.ndarray, "N K"]:
    """Return the areas of the images, in their order.

    Raises:
        UserError: an image has none.
    """
    row = {image_id: number for number, image_id in enumerate(parts.image_ids)}
    if missing := [image_id for image_id in image_ids if image_id not in row]:
        raise UserError(f"{len(missing)} images have no areas of parts, {missing[0]} first: run `dvc repro`")
    return parts.areas[[row[image_id] for image_id in image_ids]]
