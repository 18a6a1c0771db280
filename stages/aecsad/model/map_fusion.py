"""Make one anomaly map from those of several branches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Float16, Float32

from stages.core.io.maps import AnomalyMaps, to_half

SMALLEST_STD = 1e-6  # a map with a smaller spread is constant


@dataclass(frozen=True)
class MapScale:
    """How a branch's map enters the fused one.

    Attributes:
        mean, std: of all cells of validation images.
        share: of the fused map, 0 to 1.
    """

    mean: float
    std: float
    share: float


@dataclass(frozen=True)
class MapFusion:
    """The weighted mean of the branches' maps, each first scaled by mean and spread of validation cells.

    Attributes:
        scales: of each branch with a share.
        size: height and width of the fused map, those of the finest map.
    """

    scales: Mapping[str, MapScale]
    size: tuple[int, int]

    def __call__(self, maps: Mapping[str, Float16[np.ndarray, "N _h _w"]]) -> Float16[np.ndarray, "N H W"]:
        """Fuse the maps of N images; maps of branches without a share are not looked at."""
        height, width = self.size
        total = np.zeros((len(next(iter(maps.values()))), height, width), dtype=np.float32)
        for name, scale in self.scales.items():
            scaled = (maps[name].astype(np.float32) - np.float32(scale.mean)) / np.float32(scale.std)
            total += np.float32(scale.share) * resized(scaled, self.size)
        return to_half(total)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)


def map_fusion_from_json(value: Mapping[str, Any]) -> MapFusion:
    """Build a fusion from what `MapFusion.to_json` returned.

    Raises:
        KeyError, TypeError, ValueError: the value has another layout.
    """
    height, width = value["size"]
    return MapFusion({name: MapScale(**scale) for name, scale in value["scales"].items()}, (height, width))


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
    height, width = max(one.shape[1:] for one in maps.values())
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


def resized(values: Float32[np.ndarray, "N h w"], size: tuple[int, int]) -> Float32[np.ndarray, "N H W"]:
    """Resize bilinearly; maps of that size already are returned as they are."""
    if values.shape[1:] == size:
        return values
    height, width = size
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in values])
