"""One anomaly map from those of several branches."""

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32

from stages.aecsad.plus.trust import Trust
from stages.core.artifacts.anomaly_maps import AnomalyMaps

SMALLEST_STD = 1e-6


def fuse_maps(
    scores: pd.DataFrame, maps: Mapping[str, AnomalyMaps], trusts: Mapping[str, Trust]
) -> Float16[np.ndarray, "N h w"]:
    """The mean of the branches' maps by their weights, each first scaled by mean and spread of validation cells.

    Args:
        scores: the rows of the result; columns image_id and split.
        maps: of the branches that make some; resized to the finest of them.
        trusts: the branches' weights; where all of these branches stay out, their maps count equally.
    """
    weights = {name: trusts[name].weight for name in maps}
    if not any(weights.values()):
        weights = dict.fromkeys(maps, 1.0)
    size = max(one.values.shape[1:] for one in maps.values())
    validation = (scores["split"] == "validation").to_numpy()
    total = np.zeros((len(scores), *size), dtype=np.float32)
    for name, one in maps.items():
        if weights[name] > 0:
            rows = {image_id: row for row, image_id in enumerate(one.image_ids)}
            values = one.values[[rows[image_id] for image_id in scores["image_id"]]].astype(np.float32)
            total += weights[name] / sum(weights.values()) * resized(scaled(values, validation), size)
    return total.astype(np.float16)


def scaled(values: Float32[np.ndarray, "N h w"], validation: np.ndarray) -> Float32[np.ndarray, "N h w"]:
    """Zero mean and unit spread over all cells of validation images."""
    cells = values[validation]
    return np.asarray((values - cells.mean()) / max(float(cells.std()), SMALLEST_STD))


def resized(values: Float32[np.ndarray, "N h w"], size: tuple[int, ...]) -> Float32[np.ndarray, "N H W"]:
    """Bilinear; the same where the size is right already."""
    if values.shape[1:] == size:
        return values
    height, width = size
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in values])
