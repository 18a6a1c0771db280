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
    NumberFinding,
    PartAreas,
    PartModel,
    fit_part_model,
    part_distances,
    part_findings,
)
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)


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
    images: pd.DataFrame, parts: PartAreas, edited: EditedPictures, params: HistogramParams
) -> PartScores | None:
    """Fit on training images, score all, and judge by edited pictures; None where no kinds of parts were found.

    Args:
        images: the image table.
        parts: areas of these images and of the edited pictures.
        edited: of which images and kinds these are.
        params: limits.

    Raises:
        UserError: an image has no areas, there are too few normal images, or others were edited.
    """
    if not parts.areas.shape[1]:
        return None
    row = {image_id: number for number, image_id in enumerate(parts.image_ids)}
    if missing := [image_id for image_id in images["image_id"] if image_id not in row]:
        raise UserError(f"{len(missing)} images have no areas of parts, {missing[0]} first: run `dvc repro`")
    areas = parts.areas[[row[image_id] for image_id in images["image_id"]]]
    train, validation = normal_rows(images["split"])
    model = fit_part_model(parts, areas[train])
    distances = part_distances(model, areas)
    rows = rows_of_sources(edited, images["image_id"][validation].tolist())
    judged = Judged(distances[train], distances[validation], part_distances(model, parts.edited), rows, edited.kinds)
    verdict = judged.verdict(params)
    LOG.info("%s: weight %.2f, %s", PARTS, verdict.weight, verdict.reason)
    findings = {
        str(image_id): part_findings(model, areas[number])
        for number, (image_id, split) in enumerate(zip(images["image_id"], images["split"], strict=True))
        if split != "train"
    }
    return PartScores(distances, model, verdict, judged.without_each(params), findings)
