"""Findings of the branches that AeCSAD itself does not have."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.explanations import Explanation, Explanations
from stages.core.artifacts.label_maps import LabelMaps
from stages.core.explaining.hot_spots import explain_map, fit_spots, usual_classes
from stages.core.running.errors import UserError


def explain_branches(
    found: Explanations,
    images: pd.DataFrame,
    label_maps: LabelMaps,
    scores: pd.DataFrame,
    maps: Mapping[str, Float16[np.ndarray, "N h w"]],
) -> dict[str, list[Explanation]]:
    """AeCSAD's findings and, of each further branch, the hottest spot of its map: the one that decided shows where.

    Args:
        found: AeCSAD's.
        images: the image table; its training images show what class is usual where.
        scores: the rows of the result; columns image_id, split.
        maps: see `counting_maps`.

    Raises:
        UserError: an image lacks its label map or its findings.
    """
    rows = {image_id: row for row, image_id in enumerate(label_maps.image_ids)}
    needed = set(images["image_id"][images["split"] == "train"]) | set(scores["image_id"])
    lacking = sorted(needed - set(rows) | set(scores["image_id"]) - set(found.images))
    if lacking:
        raise UserError(f"{len(lacking)} images have no label map or no findings, {lacking[0]} first: run `dvc repro`")
    train = label_maps.values[[rows[image_id] for image_id in images["image_id"][images["split"] == "train"]]]
    usual = usual_classes(train, num_classes=label_maps.num_classes)
    explained = {finding.branch for findings in found.images.values() for finding in findings}
    validation = (scores["split"] == "validation").to_numpy()
    fitted = [(fit_spots(name, one[validation], usual), one) for name, one in maps.items() if name not in explained]
    return {
        image_id: [
            *found.images[image_id],
            *(explain_map(normal, one[row], label_maps.values[rows[image_id]]) for normal, one in fitted),
        ]
        for row, image_id in enumerate(scores["image_id"])
    }
