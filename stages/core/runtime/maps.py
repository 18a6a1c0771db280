"""Anomaly maps in half precision, and one of those of several branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float16, Float32, Int

LARGEST_HALF = float(np.finfo(np.float16).max)  # 65,504


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
            total += np.float32(scale.share) * self.resized(scaled)
        return to_half(total)

    def resized(self, values: Float32[np.ndarray, "N h w"]) -> Float32[np.ndarray, "N H W"]:
        """Resize bilinearly to `size`; maps of that size already are returned as they are."""
        return values if values.shape[1:] == self.size else bilinear(values, self.size)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build a fusion from what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: the value has another layout.
        """
        height, width = value["size"]
        return cls({name: MapScale(**scale) for name, scale in value["scales"].items()}, (height, width))


def bilinear(values: Float32[np.ndarray, "N h w"], size: tuple[int, int]) -> Float32[np.ndarray, "N H W"]:
    """Interpolate; maps and result cover the same area, borders repeat, and nothing is averaged when shrinking."""
    rows, columns = (places(before, after) for before, after in zip(values.shape[1:], size, strict=True))
    lower, upper, share = columns
    across = values[:, :, lower] * (1 - share) + values[:, :, upper] * share
    lower, upper, share = rows
    return np.asarray(across[:, lower] * (1 - share[:, None]) + across[:, upper] * share[:, None])


def places(before: int, after: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Return for each of `after` cells the two of `before` cells that it lies between, and the share of the second."""
    centre = ((np.arange(after) + 0.5) * (before / after) - 0.5).clip(0, before - 1)
    lower = np.floor(centre).astype(np.int64)
    return lower, np.minimum(lower + 1, before - 1), (centre - lower).astype(np.float32)


def to_half(values: Float[np.ndarray, "..."]) -> Float16[np.ndarray, "..."]:
    """Return maps as float16, cut off at its ends.

    Where normal images vary hardly at all, a defect is millions of deviations away. A map that says "more than 65,504"
    shows it as well; scores are taken before. NaN stays, for those who store maps to refuse.
    """
    half: Float16[np.ndarray, "..."] = np.clip(values, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
    return half
