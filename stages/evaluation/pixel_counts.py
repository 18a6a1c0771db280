"""How many pixels reach which value: all that pixel metrics need, in memory that does not grow with the images."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

MANTISSA_BITS = 12  # of a level; the maps are stored with 10
LEVELS = 1 << (1 + 5 + MANTISSA_BITS)  # sign, exponent and mantissa


@dataclass
class PixelCounts:
    """Pixels on each level (see `levels`), lowest first; the sum of two are the counts of both sets of images.

    Attributes:
        normal: pixels outside of every mask.
        defect: pixels inside.
        region_share: sum over the defect regions of their share of pixels on the level; a region's sum is 1.
        regions: number of regions.
    """

    normal: Int64[np.ndarray, " levels"] = field(default_factory=lambda: np.zeros(LEVELS, dtype=np.int64))
    defect: Int64[np.ndarray, " levels"] = field(default_factory=lambda: np.zeros(LEVELS, dtype=np.int64))
    region_share: Float64[np.ndarray, " levels"] = field(default_factory=lambda: np.zeros(LEVELS))
    regions: int = 0

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        return PixelCounts(
            self.normal + other.normal,
            self.defect + other.defect,
            self.region_share + other.region_share,
            self.regions + other.regions,
        )

    def count(self, anomaly_map: Float32[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> None:
        """Count one more image; its regions are the mask's 8-connected components.

        Raises:
            ValueError: shapes differ.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(f"a map of shape {anomaly_map.shape} for a mask of shape {mask.shape}")
        ranks = levels(anomaly_map)
        self.normal += np.bincount(ranks[~mask], minlength=LEVELS)
        if not mask.any():
            return
        labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
        inside = labels[mask]
        sizes = np.bincount(inside)  # number 0 is the background, which is not inside
        self.defect += np.bincount(ranks[mask], minlength=LEVELS)
        self.region_share += np.bincount(ranks[mask], weights=1.0 / sizes[inside], minlength=LEVELS)
        self.regions += len(sizes) - 1


def levels(values: Float32[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
    """Ranks of values on one fixed scale of LEVELS steps, fine enough to tell all float16 numbers apart.

    A level is the leading bits of the float itself (sign, exponent, MANTISSA_BITS), so steps are relative: 1/4096 of
    the value, and no range has to be known beforehand. Values between two float16 numbers (after interpolation)
    share a level only when they differ by less than that.

    Args:
        values: finite, at most 65504 in size (the range of float16).

    Returns:
        Levels from 0 to LEVELS - 1 in the order of the values.
    """
    scaled = (np.asarray(values, dtype=np.float32) * np.float32(2.0**-112)).view(np.int32)  # exponents now 0 to 31
    size = scaled & np.int32(0x7FFFFFFF)
    ordered = np.where(scaled < 0, -size, size)
    return (ordered >> (23 - MANTISSA_BITS)).astype(np.int64) + LEVELS // 2
