"""Areas under the curves that pixel counts give."""

import numpy as np
from jaxtyping import Bool, Float, Int64

from stages.evaluation.pixel_counts import PixelCounts
from stages.evaluation.undefined import Measured, Undefined


def pixel_auroc(counts: PixelCounts) -> Measured:
    """Area under the ROC curve over pixels; pixels on one level count one half, as ties do."""
    if missing := missing_pixels(counts):
        return missing
    below = np.cumsum(counts.normal) - counts.normal
    pairs = float(counts.normal.sum()) * float(counts.defect.sum())
    return float((counts.defect * (below + counts.normal / 2)).sum() / pairs)


def pixel_average_precision(counts: PixelCounts) -> Measured:
    """Sum over the levels, highest first, of precision times the step in recall; depends on the defects' area."""
    if missing := missing_pixels(counts):
        return missing
    levels = used_levels(counts)
    hits, alarms = np.cumsum(counts.defect[levels]), np.cumsum(counts.normal[levels])
    steps = counts.defect[levels] / counts.defect.sum()
    return float((hits / (hits + alarms) * steps).sum())


def aupro(counts: PixelCounts, *, limit: float) -> Measured:
    """Area under the per-region overlap curve up to a false-positive rate, divided by that rate.

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
    """As `aupro`, with regions that count as found from their saturation on.

        sPRO(t) = mean over annotated regions of min(|{p in region : s_p >= t}| / saturation, 1)

    Bergmann et al., "Beyond Dents and Scratches", IJCV 2022, section 5.2; the field states L = 0.05.
    """
    if missing := missing_pixels(counts):
        return missing
    if not counts.annotated:
        return Undefined("the source states no saturation of its defects")
    return overlap_area(counts, counts.saturated_share / counts.annotated, limit)


def overlap_area(counts: PixelCounts, share: Float[np.ndarray, " levels"], limit: float) -> float:
    """Area under an overlap curve up to `limit`, divided by it; `share` is what each level adds to the overlap."""
    levels = used_levels(counts)
    rate = np.concatenate([[0.0], np.cumsum(counts.normal[levels]) / counts.normal.sum()])
    overlap = np.concatenate([[0.0], np.cumsum(share[levels])])
    return area_up_to(rate, overlap, limit) / limit


def used_levels(counts: PixelCounts) -> Int64[np.ndarray, " used"]:
    """Levels that hold a pixel, highest first."""
    used: Bool[np.ndarray, " levels"] = (counts.normal > 0) | (counts.defect > 0)
    return np.flatnonzero(used)[::-1]


def area_up_to(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], limit: float) -> float:
    """Integral of the polyline through (x, y) from x[0] to `limit`; x never falls and reaches `limit`."""
    inside = int(np.searchsorted(x, limit, side="right"))
    area = float(np.trapezoid(y[:inside], x[:inside]))
    if inside < len(x):
        width = limit - x[inside - 1]
        slope = (y[inside] - y[inside - 1]) / (x[inside] - x[inside - 1])
        area += float(width * (y[inside - 1] + slope * width / 2))
    return area


def missing_pixels(counts: PixelCounts) -> Undefined | None:
    """Why the pixels cannot be ranked, if so."""
    if not counts.regions:
        return Undefined("no anomalous test image of this group has a mask")
    return None if counts.normal.any() else Undefined("no normal pixel in the test images")
