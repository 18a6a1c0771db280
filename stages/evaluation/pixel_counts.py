"""How many pixels reach which value, and the areas under the curves that these counts give.

Counts are all that pixel metrics need, in memory that does not grow with the images.

A defect region of MVTec LOCO may saturate: where a part is missing, any spot of the place it could lie in is a right
answer, so the annotation says for each kind of defect from which area on a region counts as found. Bergmann et al.,
"Beyond Dents and Scratches", IJCV 2022, section 5.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, TypeAdapter, ValidationError

from stages.core.run.errors import UserError
from stages.evaluation.names import Measured, Undefined

DEFECTS = "defects_config.json"
MANTISSA_BITS = 12  # of a level; the maps are stored with 10
LEVELS = 1 << (1 + 5 + MANTISSA_BITS)  # sign, exponent and mantissa


class Defect(BaseModel):
    """A kind of defect.

    Attributes:
        pixel_value: of its regions in the masks.
        saturation_threshold: pixels, or a share of the region when `relative_saturation`.
    """

    model_config = ConfigDict(frozen=True)

    defect_name: str
    pixel_value: NonNegativeInt
    saturation_threshold: PositiveFloat
    relative_saturation: bool

    def saturation(self, area: int) -> float:
        """Return how many of a region's pixels have to be found: whole pixels, at least 1 and at most all."""
        wanted = self.saturation_threshold * area if self.relative_saturation else self.saturation_threshold
        return float(min(max(int(wanted), 1), area))


@dataclass(frozen=True)
class Region:
    """One annotated defect; it may consist of several pieces.

    Attributes:
        saturation: pixels of it that have to be found, above 0 and at most its area.
    """

    mask: Bool[np.ndarray, "H W"]
    saturation: float


def read_defects(folder: Path) -> dict[int, Defect]:
    """Read the kinds of defects by pixel value; empty when the source brings no `defects_config.json`.

    Raises:
        UserError: the file is damaged or names a pixel value twice.
    """
    path = folder / DEFECTS
    if not path.exists():
        return {}
    try:
        defects = TypeAdapter(list[Defect]).validate_json(path.read_bytes())
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: not a list of defects with their saturation ({error}): correct the source") from None
    by_value = {defect.pixel_value: defect for defect in defects}
    if len(by_value) < len(defects):
        raise UserError(f"{path}: a pixel_value is there twice: correct the source")
    return by_value


def annotated_regions(
    masks: Sequence[UInt8[np.ndarray, "H W"]], defects: Mapping[int, Defect], *, where: str
) -> list[Region]:
    """Return one region for each mask file and pixel value in it, also when two files hold the same value.

    Args:
        where: names the image in errors.

    Raises:
        UserError: a pixel value has no entry in `defects`.
    """
    regions = []
    for values in masks:
        for value in np.unique(values[values > 0]).tolist():
            if value not in defects:
                raise UserError(f"{where}: the mask has the value {value}, which {DEFECTS} does not name")
            mask = values == value
            regions.append(Region(mask, defects[value].saturation(int(mask.sum()))))
    return regions


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
        """Return the counts of no image; another depth is for levels that were put together."""
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
        """Count an image whose values are given as levels below the depth."""
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
    """Return the highest pixels' levels, and what each adds to min(pixels reached / saturation, 1); the sum is 1.

    Args:
        ranks: levels of a region's pixels.
        saturation: in pixels, above 0 and at most their number.
    """
    descending = np.sort(ranks)[::-1][: int(np.ceil(saturation))]
    return descending, np.clip(saturation - np.arange(len(descending)), 0.0, 1.0) / saturation


def levels(values: Float32[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
    """Rank values on one fixed scale of LEVELS steps, fine enough to tell all float16 numbers apart.

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


def pixel_auroc(counts: PixelCounts) -> Measured:
    """Return the area under the ROC curve over pixels; pixels on one level count one half, as ties do."""
    if missing := missing_pixels(counts):
        return missing
    below = np.cumsum(counts.normal) - counts.normal
    pairs = float(counts.normal.sum()) * float(counts.defect.sum())
    return float((counts.defect * (below + counts.normal / 2)).sum() / pairs)


def pixel_average_precision(counts: PixelCounts) -> Measured:
    """Sum precision times the step in recall over the levels, highest first; it depends on the defects' area."""
    if missing := missing_pixels(counts):
        return missing
    levels = used_levels(counts)
    hits, alarms = np.cumsum(counts.defect[levels]), np.cumsum(counts.normal[levels])
    steps = counts.defect[levels] / counts.defect.sum()
    return float((hits / (hits + alarms) * steps).sum())


def aupro(counts: PixelCounts, *, limit: float) -> Measured:
    """Return the area under the per-region overlap curve up to a false-positive rate, divided by that rate.

        AUPRO = 1/L  int_0^L PRO(f) df,    PRO(t) = mean over regions of |{p in region : s_p >= t}| / |region|

    f is the share of normal pixels with s_p >= t. Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021,
    section 5; straight lines between neighbouring thresholds, as their evaluation does.

    Args:
        limit: L in (0, 1]; the field uses 0.3.
    """
    if missing := missing_pixels(counts):
        return missing
    return overlap_area(counts, counts.region_share / counts.regions, limit)


def au_spro(counts: PixelCounts, *, limit: float) -> Measured:
    """Return `aupro` with regions that count as found from their saturation on.

        sPRO(t) = mean over annotated regions of min(|{p in region : s_p >= t}| / saturation, 1)

    Bergmann et al., "Beyond Dents and Scratches", IJCV 2022, section 5.2; the field states L = 0.05.
    """
    if missing := missing_pixels(counts):
        return missing
    if not counts.annotated:
        return Undefined("the source states no saturation of its defects")
    return overlap_area(counts, counts.saturated_share / counts.annotated, limit)


def overlap_area(counts: PixelCounts, share: Float[np.ndarray, " levels"], limit: float) -> float:
    """Return the area under an overlap curve up to `limit`, divided by it.

    Args:
        share: what each level adds to the overlap.
    """
    levels = used_levels(counts)
    rate = np.concatenate([[0.0], np.cumsum(counts.normal[levels]) / counts.normal.sum()])
    overlap = np.concatenate([[0.0], np.cumsum(share[levels])])
    return area_up_to(rate, overlap, limit) / limit


def used_levels(counts: PixelCounts) -> Int64[np.ndarray, " used"]:
    """Return the levels that hold a pixel, highest first."""
    used: Bool[np.ndarray, " levels"] = (counts.normal > 0) | (counts.defect > 0)
    return np.flatnonzero(used)[::-1]


def area_up_to(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], limit: float) -> float:
    """Integrate the polyline through (x, y) from x[0] to `limit`; x never falls and reaches `limit`."""
    inside = int(np.searchsorted(x, limit, side="right"))
    area = float(np.trapezoid(y[:inside], x[:inside]))
    if inside < len(x):
        width = limit - x[inside - 1]
        slope = (y[inside] - y[inside - 1]) / (x[inside] - x[inside - 1])
        area += float(width * (y[inside - 1] + slope * width / 2))
    return area


def missing_pixels(counts: PixelCounts) -> Undefined | None:
    """Return why the pixels cannot be ranked, if so."""
    if not counts.regions:
        return Undefined("no anomalous test image of this group has a mask")
    return None if counts.normal.any() else Undefined("no normal pixel in the test images")
