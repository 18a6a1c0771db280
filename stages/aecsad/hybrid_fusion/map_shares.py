"""The share of each branch in the fused anomaly map, judged by the cells of synthetic defects.

Which images a branch tells apart, and where it sees what, are two questions: students draw the outline of a defect well
that says little in one number, the largest. So the map's shares need not be the score's weights.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from stages.aecsad.hybrid_fusion.branches import BranchWeight
from stages.aecsad.model.map_fusion import active_maps, fit_map_fusion
from stages.core.io.maps import AnomalyMaps
from stages.core.io.tables import SYNTHETIC
from stages.core.runtime.reading import read_image

CHANGED = 8  # grey levels of 255: what differs by more from the picture that a defect was put into is the defect
WAYS = (0.0, 0.25, 0.5, 0.75, 1.0)  # tried, from the score's weights to equal shares
LIMIT = 0.3  # of normal cells, as of the AUPRO in the evaluation
LOG = logging.getLogger(__name__)


def weigh_maps(
    scores: pd.DataFrame,
    maps: Mapping[str, AnomalyMaps],
    weights: Mapping[str, BranchWeight],
    images: pd.DataFrame,
    folder: Path,
) -> dict[str, float]:
    """Return the share of each map: between the score's weights and equal shares, where defects are covered best.

    It is the way from the one to the other with the largest `overlap` of cells in which a synthetic defect differs from
    the picture it was made from; the shortest of equal ones. Branches without weight in the score have no map either.

    Args:
        scores: rows of all branches; columns image_id, split.
        maps: of the branches that make some.
        weights: of the branches; they are the shares where no defect is visible.
        images: the image table.
        folder: of the image files.

    Raises:
        UserError: an image file cannot be read.
    """
    rows = scores[scores["split"].isin(["validation", SYNTHETIC])]
    active = active_maps(rows, maps, {name: one.weight for name, one in weights.items()})
    total = sum(weights[name].weight for name in active) or 1.0
    own = {name: weights[name].weight / total or 1 / len(active) for name in active}
    size = max((one.shape[1:] for one in active.values()), key=math.prod)
    defects = synthetic_defects(rows, images, folder, size=size)
    if not defects.any():
        return own
    ways = [{name: (1 - way) * share + way / len(active) for name, share in own.items()} for way in WAYS]
    normal = (rows["split"] == "validation").to_numpy()
    covered = []
    for shares in ways:
        fused = fit_map_fusion(rows, active, shares)(active)
        covered.append(overlap(fused[normal], fused, defects))
    best = int(np.argmax(np.round(covered, 4)))
    shown = ", ".join(f"{name} {share:.0%}" for name, share in ways[best].items())
    LOG.info("map: %s; AUPRO of synthetic defects %.3f, %.3f by the weights", shown, covered[best], covered[0])
    return ways[best]


def synthetic_defects(
    rows: pd.DataFrame, images: pd.DataFrame, folder: Path, *, size: tuple[int, int]
) -> Bool[np.ndarray, "N h w"]:
    """Return the cells in which each image differs from the normal one that it was made from; none in other images.

    Raises:
        UserError: an image file cannot be read.
    """
    files = images.set_index("image_id")["file"]
    cells = np.zeros((len(rows), *size), dtype=np.bool_)
    for number, (image_id, split) in enumerate(zip(rows["image_id"], rows["split"], strict=True)):
        if split == SYNTHETIC:
            source = image_id.removesuffix(f"#{SYNTHETIC}")
            copy, picture = (read_image(folder / files[one]).astype(np.int16) for one in (image_id, source))
            changed = (np.abs(copy - picture).max(axis=-1) > CHANGED).astype(np.float32)
            cells[number] = cv2.resize(changed, size[::-1], interpolation=cv2.INTER_AREA) > 0
    return cells


def overlap(
    normal: Float32[np.ndarray, "V h w"], maps: Float32[np.ndarray, "N h w"], defects: Bool[np.ndarray, "N h w"]
) -> float:
    """Return the area under the curve of per-region overlap against false positives up to LIMIT (AUPRO).

        mean over defects of the mean over their cells of max(0, 1 - f / LIMIT),  f the share of normal cells above it

    Args:
        normal: maps of normal images.
        maps: of all images.
        defects: cells of the one defect of each image; images without any do not count.
    """
    values = np.sort(normal, axis=None).astype(np.float32)
    means = []
    for one, cells in zip(maps, defects, strict=True):
        if cells.any():
            above = 1 - np.searchsorted(values, one[cells].astype(np.float32)) / len(values)
            means.append(float(np.maximum(0.0, 1 - above / LIMIT).mean()))
    return float(np.mean(means))
