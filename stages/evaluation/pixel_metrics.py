"""How well anomaly maps show where the defect is."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Float16

from stages.core.overlays import upsample_map
from stages.evaluation.masks import read_mask
from stages.evaluation.pixel_counts import PixelCounts
from stages.evaluation.ranking import GROUPS
from stages.evaluation.undefined import Measured, Undefined


def pixel_metrics(
    test: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "h w"]], mask_files: Path, *, limit: float
) -> dict[str, dict[str, Measured]]:
    """Pixel AUROC and AUPRO for each group of anomalies, with the normal images' pixels.

    Maps are interpolated to the size of the image. Normal images have no defect pixel; anomalous images without a
    mask are left out, because nobody knows which of their pixels are defects.

    Args:
        maps: by image_id; empty when the method makes none.
        limit: AUPRO is integrated up to this false-positive rate.

    Raises:
        UserError: a mask cannot be read or has another size than its image.
    """
    if not maps:
        nothing = Undefined("the method makes no anomaly maps")
        return {name: dict.fromkeys(GROUPS, nothing) for name in ("auroc", "aupro")}
    normal = count_rows(test[~test["is_anomalous"]], maps, mask_files)
    masked = test[test["is_anomalous"] & (test["mask_files"].map(len) > 0)]
    by_kind = {str(kind): count_rows(rows, maps, mask_files) for kind, rows in masked.groupby("kind")}
    counts = {group: normal + by_kind.get(group, PixelCounts()) for group in GROUPS if group != "all"}
    counts["all"] = sum(by_kind.values(), start=normal)
    return {
        "auroc": {group: pixel_auroc(counts[group]) for group in GROUPS},
        "aupro": {group: aupro(counts[group], limit=limit) for group in GROUPS},
    }


def count_rows(rows: pd.DataFrame, maps: Mapping[str, Float16[np.ndarray, "h w"]], mask_files: Path) -> PixelCounts:
    """The counts of some images, read one after the other."""
    counts = PixelCounts()
    columns = zip(rows["image_id"], rows["mask_files"], rows["height"], rows["width"], strict=True)
    for image_id, files, height, width in columns:
        mask = read_mask(mask_files, list(files), height=height, width=width)
        counts.count(upsample_map(maps[image_id], height=height, width=width), mask)
    return counts


def pixel_auroc(counts: PixelCounts) -> Measured:
    """Area under the ROC curve over pixels; pixels on one level count one half, as ties do."""
    if missing := missing_pixels(counts):
        return missing
    below = np.cumsum(counts.normal) - counts.normal
    pairs = float(counts.normal.sum()) * float(counts.defect.sum())
    return float((counts.defect * (below + counts.normal / 2)).sum() / pairs)


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
    used = np.flatnonzero((counts.normal > 0) | (counts.defect > 0))[::-1]
    rate = np.concatenate([[0.0], np.cumsum(counts.normal[used]) / counts.normal.sum()])
    overlap = np.concatenate([[0.0], np.cumsum(counts.region_share[used]) / counts.regions])
    return area_up_to(rate, overlap, limit) / limit


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


def images_without_mask(test: pd.DataFrame) -> int:
    """Number of anomalous test images that pixel metrics leave out."""
    return int((test["is_anomalous"] & (test["mask_files"].map(len) == 0)).sum())
