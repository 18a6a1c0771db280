"""How many pixels reach which value: all that pixel metrics need, in memory that does not grow with the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from stages.evaluation.saturation import Region

MANTISSA_BITS = 12  # of a level; the maps are stored with 10
LEVELS = 1 << (1 + 5 + MANTISSA_BITS)  # sign, exponent and mantissa


@dataclass
class PixelCounts:
    """Pixels on each level (see `levels`), lowest first; the sum of two are the counts of both sets of images.

    Attributes:
        normal: pixels outside of every mask.
        defect: pixels inside.
        region_share: sum over the defect regions of their share of pixels on the level; a region's sum is 1.
        saturated_share: as `region_share`, for the annotated regions, whose share stops at their saturation.
        regions: number of regions.
        annotated: number of annotated regions.
    """

    normal: Int64[np.ndarray, " levels"]
    defect: Int64[np.ndarray, " levels"]
    region_share: Float64[np.ndarray, " levels"]
    saturated_share: Float64[np.ndarray, " levels"]
    regions: int = 0
    annotated: int = 0

    @classmethod
    def empty(cls, depth: int = LEVELS) -> "PixelCounts":
        """Counts of no image; another depth is for levels that were put together."""
        whole = np.zeros(depth, dtype=np.int64)
        return cls(whole.copy(), whole.copy(), np.zeros(depth), np.zeros(depth))

    def __add__(self, other: "PixelCounts") -> "PixelCounts":
        return PixelCounts(
            self.normal + other.normal,
            self.defect + other.defect,
            self.region_share + other.region_share,
            self.saturated_share + other.saturated_share,
            self.regions + other.regions,
            self.annotated + other.annotated,
        )

    def count(
        self, anomaly_map: Float32[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"], annotated: Sequence[Region] = ()
    ) -> None:
        """Count one more image; its regions are the mask's 8-connected components.

        Args:
            annotated: the regions as the annotation divides them, for metrics that saturate.

        Raises:
            ValueError: shapes differ.
        """
        if anomaly_map.shape != mask.shape:
            raise ValueError(f"a map of shape {anomaly_map.shape} for a mask of shape {mask.shape}")
        self.count_ranks(levels(anomaly_map), mask, annotated)

    def count_ranks(
        self, ranks: Int64[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"], annotated: Sequence[Region]
    ) -> None:
        """As `count`, of levels below the depth."""
        self.normal += np.bincount(ranks[~mask], minlength=len(self.normal))
        if not mask.any():
            return
        labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
        inside = labels[mask]
        sizes = np.bincount(inside)  # number 0 is the background, which is not inside
        np.add.at(self.defect, ranks[mask], 1)  # few pixels: faster than to add whole arrays
        np.add.at(self.region_share, ranks[mask], 1.0 / sizes[inside])
        self.regions += len(sizes) - 1
        for region in annotated:
            np.add.at(self.saturated_share, *saturating_shares(ranks[region.mask], region.saturation))
        self.annotated += len(annotated)


def saturating_shares(
    ranks: Int64[np.ndarray, " pixels"], saturation: float
) -> tuple[Int64[np.ndarray, " counted"], Float64[np.ndarray, " counted"]]:
    """The highest pixels' levels, and what each adds to min(pixels reached / saturation, 1); the sum is 1.

    Args:
        ranks: levels of a region's pixels.
        saturation: in pixels, above 0 and at most their number.
    """
    descending = np.sort(ranks)[::-1][: int(np.ceil(saturation))]
    return descending, np.clip(saturation - np.arange(len(descending)), 0.0, 1.0) / saturation


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
