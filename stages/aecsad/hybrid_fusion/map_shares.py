"""The share of each branch in the fused anomaly map, judged cell by cell on synthetic defects.

Which images a branch tells apart, and where it sees what, are two questions: students know the outline of a defect well
that says little in one number, the largest. So the map's shares are not the score's weights.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32
from scipy.stats import mannwhitneyu

from stages.aecsad.hybrid_fusion.branches import BranchWeight, discriminant
from stages.aecsad.hybrid_fusion.params import Weighting
from stages.core.io.maps import AnomalyMaps
from stages.core.io.tables import SYNTHETIC
from stages.core.runtime.reading import read_image

CHANGED = 8  # grey levels of 255: what differs by more from the picture that a defect was put into is the defect
LOG = logging.getLogger(__name__)


def weigh_maps(
    maps: Mapping[str, AnomalyMaps],
    weights: Mapping[str, BranchWeight],
    images: pd.DataFrame,
    folder: Path,
    *,
    weighting: Weighting = "reliability",
) -> dict[str, float]:
    """Return the share of each map, up to a factor: how well its branch tells cells of synthetic defects from normal ones.

    The rule is that of `weigh_together`, with the cells of the finest map in place of images: AUROC of the cells in
    which a copy differs from the picture it was made from, against those of validation images, and correlation on the
    latter. Branches without weight in the score have no map either.

    Args:
        maps: of the branches that make some.
        weights: of the branches; they are the shares where nothing can be judged: equal by the profile, one map, or no
            visible defect.
        images: the image table.
        folder: of the image files.
        weighting: see `stages.aecsad.hybrid_fusion.branches.weigh_branches`.

    Raises:
        UserError: an image file cannot be read.
    """
    shares = {name: weights[name].weight for name in maps}
    active = [name for name in maps if shares[name] > 0]
    if weighting == "equal" or len(active) < 2:
        return shares
    size = max((maps[name].values.shape[1:] for name in active), key=math.prod)
    files = images.set_index("image_id")["file"]
    normal = images["image_id"][images["split"] == "validation"].to_list()
    copies = [copy for image_id in normal if (copy := f"{image_id}#{SYNTHETIC}") in files]
    defects = np.array([defect_cells(folder / files[one], folder / files[source_of(one)], size) for one in copies])
    if not defects.any():
        return shares
    cells = np.stack([cells_of(maps[name], normal, size).ravel() for name in active])
    seen = [cell_auroc(cells[row], cells_of(maps[name], copies, size)[defects]) for row, name in enumerate(active)]
    if max(seen) <= 0.5:
        return shares
    found = discriminant(np.array(seen), cells, images=len(normal))
    LOG.info(
        "shares in the map: %s",
        ", ".join(
            f"{name} {share / found.sum():.0%} (tells {auroc:.1%} of defects' cells)"
            for name, share, auroc in zip(active, found, seen, strict=True)
        ),
    )
    return shares | dict(zip(active, found.tolist(), strict=True))


def source_of(copy: str) -> str:
    """Return the image_id of the picture that a synthetic defect was put into."""
    return copy.removesuffix(f"#{SYNTHETIC}")


def defect_cells(copy: Path, source: Path, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Return the cells of a map in which a picture differs from the one it was made from.

    Raises:
        UserError: a file cannot be read.
    """
    pictures = (read_image(path).astype(np.int16) for path in (copy, source))
    changed = np.abs(np.subtract(*pictures)).max(axis=-1) > CHANGED
    height, width = size
    share = cv2.resize(changed.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(share > 0)


def cells_of(maps: AnomalyMaps, image_ids: list[str], size: tuple[int, int]) -> Float32[np.ndarray, "N h w"]:
    """Return the maps of some images, each as large as the finest one."""
    row = {image_id: number for number, image_id in enumerate(maps.image_ids)}
    height, width = size
    values = maps.values[[row[image_id] for image_id in image_ids]].astype(np.float32)
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in values])


def cell_auroc(normal: Float32[np.ndarray, " n"], defect: Float32[np.ndarray, " m"]) -> float:
    """Return the AUROC of cells; at least chance, and never more than so many cells can tell from it."""
    found = float(mannwhitneyu(defect, normal).statistic) / (len(normal) * len(defect))
    return min(max(found, 0.5), 1 - 0.5 / len(defect))
