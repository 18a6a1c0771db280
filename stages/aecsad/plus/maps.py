"""One anomaly map from those of several branches."""

from collections.abc import Mapping

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32

from stages.aecsad.plus.trust import Trust
from stages.core.artifacts.anomaly_maps import AnomalyMaps, to_half

SMALLEST_STD = 1e-6


def counting_maps(
    scores: pd.DataFrame, maps: Mapping[str, AnomalyMaps], trusts: Mapping[str, Trust]
) -> dict[str, Float16[np.ndarray, "N h w"]]:
    """The maps of the branches that have a say, of the rows of the result; all where none of them has.

    Args:
        scores: the rows of the result; column image_id.
        maps: of the branches that make some.
    """
    heard = [name for name in maps if trusts[name].weight > 0] or list(maps)
    rows = {name: {image_id: row for row, image_id in enumerate(maps[name].image_ids)} for name in heard}
    return {name: maps[name].values[[rows[name][image_id] for image_id in scores["image_id"]]] for name in heard}


def fuse_maps(
    scores: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "N h w"]], trusts: Mapping[str, Trust]
) -> Float16[np.ndarray, "N H W"]:
    """The mean of the branches' maps by their weights, each first scaled by mean and spread of validation cells.

    Args:
        scores: the rows of the result; column split.
        maps: see `counting_maps`; resized to the finest of them.
        trusts: the branches' weights; where all of these branches stay out, their maps count equally.
    """
    weights = {name: trusts[name].weight for name in maps}
    if not any(weights.values()):
        weights = dict.fromkeys(maps, 1.0)
    size = max(one.shape[1:] for one in maps.values())
    validation = (scores["split"] == "validation").to_numpy()
    total = np.zeros((len(scores), *size), dtype=np.float32)
    for name, one in maps.items():
        total += weights[name] / sum(weights.values()) * resized(scaled(one.astype(np.float32), validation), size)
    return to_half(total)


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
