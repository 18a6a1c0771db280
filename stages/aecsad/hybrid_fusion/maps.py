"""Make one anomaly map from those of several branches."""

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float16, Float32

from stages.core.io.maps import AnomalyMaps, to_half

SMALLEST_STD = 1e-6  # a map with a smaller spread is constant


def active_maps(
    scores: pd.DataFrame, maps: Mapping[str, AnomalyMaps], weights: Mapping[str, float]
) -> dict[str, Float16[np.ndarray, "N h w"]]:
    """Return the maps of the branches with weight, of the rows of the result; all where none of them has any.

    Args:
        scores: the rows of the result; column image_id.
        maps: of the branches that make some.
        weights: of the branches.
    """
    active = [name for name in maps if weights[name] > 0] or list(maps)
    rows = {name: {image_id: row for row, image_id in enumerate(maps[name].image_ids)} for name in active}
    return {name: maps[name].values[[rows[name][image_id] for image_id in scores["image_id"]]] for name in active}


def fuse_maps(
    scores: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "N h w"]], weights: Mapping[str, float]
) -> Float16[np.ndarray, "N H W"]:
    """Return the weighted mean of the branches' maps, each first scaled by mean and spread of validation cells.

    Args:
        scores: the rows of the result; column split.
        maps: of `active_maps`; resized to the finest of them.
        weights: of the branches; where all of these branches are excluded, their maps count equally.
    """
    counted = {name: weights[name] for name in maps}
    if not any(counted.values()):
        counted = dict.fromkeys(maps, 1.0)
    size = max(one.shape[1:] for one in maps.values())
    validation = (scores["split"] == "validation").to_numpy()
    total = np.zeros((len(scores), *size), dtype=np.float32)
    for name, one in maps.items():
        total += counted[name] / sum(counted.values()) * resized(scaled(one.astype(np.float32), validation), size)
    return to_half(total)


def scaled(values: Float32[np.ndarray, "N h w"], validation: Bool[np.ndarray, " N"]) -> Float32[np.ndarray, "N h w"]:
    """Scale to zero mean and unit spread over all cells of validation images."""
    cells = values[validation]
    return np.asarray((values - cells.mean()) / max(float(cells.std()), SMALLEST_STD))


def resized(values: Float32[np.ndarray, "N h w"], size: tuple[int, ...]) -> Float32[np.ndarray, "N H W"]:
    """Resize bilinearly; maps of that size already are returned as they are."""
    if values.shape[1:] == size:
        return values
    height, width = size
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in values])
