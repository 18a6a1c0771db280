"""Make one anomaly map from those of several branches."""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32

from stages.core.io.maps import AnomalyMaps
from stages.core.runtime.maps import MapFusion as RuntimeMapFusion
from stages.core.runtime.maps import MapScale

SMALLEST_STD = 1e-6  # a map with a smaller spread is constant


class MapFusion(RuntimeMapFusion):
    """The fusion as results have it: resized by OpenCV, to the last digit."""

    def resized(self, values: Float32[np.ndarray, "N h w"]) -> Float32[np.ndarray, "N H W"]:
        """Resize bilinearly to `size`; maps of that size already are returned as they are."""
        if values.shape[1:] == self.size:
            return values
        height, width = self.size
        return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in values])


def map_fusion_from_json(value: Mapping[str, Any]) -> MapFusion:
    """See `stages.core.runtime.maps.MapFusion.from_json`."""
    return MapFusion.from_json(value)


def fit_map_fusion(
    scores: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "N _h _w"]], weights: Mapping[str, float]
) -> MapFusion:
    """Fit on the validation rows.

    Args:
        scores: the rows of the result; column split.
        maps: of `active_maps`.
        weights: of the branches; where all of these branches are excluded, their maps count equally.
    """
    counted = {name: weights[name] for name in maps}
    if not any(counted.values()):
        counted = dict.fromkeys(maps, 1.0)
    validation = (scores["split"] == "validation").to_numpy()
    scales = {}
    for name, one in maps.items():
        cells = one[validation].astype(np.float32)
        std = max(float(cells.std()), SMALLEST_STD)
        scales[name] = MapScale(float(cells.mean()), std, counted[name] / sum(counted.values()))
    height, width = max((one.shape[1:] for one in maps.values()), key=math.prod)
    return MapFusion(scales, (height, width))


def active_maps(
    scores: pd.DataFrame, maps: Mapping[str, AnomalyMaps], weights: Mapping[str, float]
) -> dict[str, Float16[np.ndarray, "N _h _w"]]:
    """Return the maps of the branches with weight, of the rows of the result; all where none of them has any.

    Args:
        scores: the rows of the result; column image_id.
        maps: of the branches that make some.
        weights: of the branches.
    """
    active = [name for name in maps if weights[name] > 0] or list(maps)
    rows = {name: {image_id: row for row, image_id in enumerate(maps[name].image_ids)} for name in active}
    return {name: maps[name].values[[rows[name][image_id] for image_id in scores["image_id"]]] for name in active}
