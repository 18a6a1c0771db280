"""How well anomaly maps show where the defect is.

Truth are the masks of defects: an image's PNG files, one for each defect. All methods of a product are measured
together, so that every mask is decoded twice and not twice for each method.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from stages.core.images.overlays import upsample_map
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.evaluation.image_metrics import GROUPS
from stages.evaluation.inputs import Maps
from stages.evaluation.intervals import ImageCurves, Interval, Resampling, Thresholds, pixel_interval, thresholds_of
from stages.evaluation.names import Measured, Name, Undefined
from stages.evaluation.pixel_counts import (
    Defect,
    PixelCounts,
    Region,
    annotated_regions,
    au_spro,
    aupro,
    pixel_auroc,
    pixel_average_precision,
    read_defects,
)

PARTS = ("normal", "logical", "structural", "unspecified")


def read_mask(folder: Path, files: Sequence[str], *, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Read a mask that is True where any of the files is not zero; all False without files.

    Raises:
        UserError: a file cannot be read or is not of the image's size.
    """
    return union(read_masks(folder, files, height=height, width=width), height=height, width=width)


def union(masks: Sequence[UInt8[np.ndarray, "H W"]], *, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Return where any of the masks is not zero; all False without masks."""
    mask = np.zeros((height, width), dtype=bool)
    for values in masks:
        mask |= values > 0
    return mask


def read_masks(folder: Path, files: Sequence[str], *, height: int, width: int) -> list[UInt8[np.ndarray, "H W"]]:
    """Read the values of each file.

    Raises:
        UserError: a file cannot be read or is not of the image's size.
    """
    masks = []
    for name in files:
        values = read_values(folder / name)
        if values.shape != (height, width):
            raise UserError(
                f"{folder / name}: the mask has {values.shape[1]} x {values.shape[0]} pixels, its image "
                f"{width} x {height}: make them equal at the source"
            )
        masks.append(values)
    return masks


def read_values(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Read a file's values; of a file with several channels, 255 where any of them is not zero.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable mask ({error}): run `dvc repro` to make it again") from None
    if values.ndim == 2 and values.dtype == np.uint8:
        return values
    nonzero = np.not_equal(np.atleast_3d(values), 0).any(axis=2)
    return np.where(nonzero, 255, 0).astype(np.uint8)


@dataclass(frozen=True)
class PixelLimits:
    """False-positive rates up to which curves are integrated: one for AUPRO, several for AU-sPRO."""

    aupro: float
    spro: tuple[float, ...]


@dataclass(frozen=True)
class PixelMetrics:
    """Values and intervals by name, as ("au_spro", "at_0.05", "logical"); what is undefined has no interval."""

    values: Mapping[Name, Measured]
    intervals: Mapping[Name, Interval]


@dataclass(frozen=True)
class TrueRegions:
    """Where an image is anomalous: the union of its masks, and the regions as the annotation divides them."""

    image_id: str
    mask: Bool[np.ndarray, "H W"]
    annotated: Sequence[Region]

    def upsampled(self, maps: Maps) -> Float32[np.ndarray, "H W"]:
        """Return the image's map, interpolated to the size of the image."""
        height, width = self.mask.shape
        return upsample_map(maps[self.image_id], height=height, width=width)


def pixel_metrics(
    test: pd.DataFrame, maps: Mapping[str, Maps], mask_files: Path, *, limits: PixelLimits, resampling: Resampling
) -> dict[str, PixelMetrics]:
    """Measure each method on each group of anomalies, with the normal images' pixels.

    Maps are interpolated to the size of the image. Normal images have no defect pixel; anomalous images without a
    mask are excluded, because nobody knows which of their pixels are defects. Images are read one after the other,
    twice; what is kept of each is a few kilobytes a method.

    Args:
        test: the truth of the test images.
        maps: of each method by image_id; empty when the method makes none.

    Raises:
        UserError: a mask cannot be read or has another size than its image.
    """
    measured = dict.fromkeys(maps, without_maps(limits))
    makers = {method: own for method, own in maps.items() if own}
    if not makers:
        return measured
    defects = read_defects(mask_files)
    parts = {part: rows_of(test, part) for part in PARTS}
    counts = {
        part: count_pixels(true_regions(rows, mask_files, defects, label=f"pixels, {part}"), makers)
        for part, rows in parts.items()
    }
    values, thresholds = {}, {}
    for method in makers:
        totals = totals_of({part: counts[part].pop(method) for part in PARTS})
        values[method] = values_of(totals, limits)
        thresholds[method] = thresholds_of(totals["all"])
    curves = {
        part: pixel_curves(true_regions(rows, mask_files, defects, label=f"pixel curves, {part}"), makers, thresholds)
        for part, rows in parts.items()
    }
    for method, own in values.items():
        strata = {part: curves[part][method] for part in PARTS}
        measured[method] = PixelMetrics(own, intervals_of(own, strata, limits, resampling))
    return measured


def without_maps(limits: PixelLimits) -> PixelMetrics:
    """Return the metrics of a method that makes no maps: names with a reason."""
    nothing = Undefined("the method makes no anomaly maps")
    return PixelMetrics(dict.fromkeys(values_of(dict.fromkeys(GROUPS, PixelCounts.empty()), limits), nothing), {})


def rows_of(test: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return the images of a part whose pixels are known."""
    own = test[test["kind"] == part]
    return own if part == "normal" else own[own["mask_files"].map(len) > 0]


def parts_of(group: str) -> tuple[str, ...]:
    """Name the parts that a group's pixels come from."""
    return PARTS if group == "all" else ("normal", group)


def totals_of(counts: Mapping[str, PixelCounts]) -> dict[str, PixelCounts]:
    """Add up the counts of each group's parts."""
    return {group: sum((counts[part] for part in parts_of(group)), start=PixelCounts.empty()) for group in GROUPS}


def true_regions(
    rows: pd.DataFrame, mask_files: Path, defects: Mapping[int, Defect], *, label: str
) -> Iterator[TrueRegions]:
    """Yield mask and annotated regions of each image, one after the other."""
    columns = zip(rows["image_id"], rows["mask_files"], rows["height"], rows["width"], strict=True)
    for image_id, files, height, width in progress(columns, total=len(rows), label=label):
        masks = read_masks(mask_files, list(files), height=height, width=width)
        regions = annotated_regions(masks, defects, where=image_id) if defects else []
        yield TrueRegions(image_id, union(masks, height=height, width=width), regions)


def count_pixels(images: Iterable[TrueRegions], maps: Mapping[str, Maps]) -> dict[str, PixelCounts]:
    """Count the pixels of some images for each method."""
    counts = {method: PixelCounts.empty() for method in maps}
    for image in images:
        for method, own in maps.items():
            counts[method].count(image.upsampled(own), image.mask, image.annotated)
    return counts


def pixel_curves(
    images: Iterable[TrueRegions], maps: Mapping[str, Maps], thresholds: Mapping[str, Thresholds]
) -> dict[str, ImageCurves]:
    """Count each image at a few thresholds for each method."""
    counted: dict[str, list[PixelCounts]] = {method: [] for method in maps}
    for image in images:
        for method, own in maps.items():
            counted[method].append(thresholds[method].count(image.upsampled(own), image.mask, image.annotated))
    return {method: thresholds[method].curves(own) for method, own in counted.items()}


def values_of(totals: Mapping[str, PixelCounts], limits: PixelLimits) -> dict[Name, Measured]:
    """Compute all metrics of each group from the counts of its pixels."""
    return {(*name, group): value for group in GROUPS for name, value in measure(totals[group], limits).items()}


def measure(counts: PixelCounts, limits: PixelLimits) -> dict[Name, Measured]:
    """Compute all metrics of one group."""
    return {
        ("pixel_auroc",): pixel_auroc(counts),
        ("pixel_average_precision",): pixel_average_precision(counts),
        ("aupro",): aupro(counts, limit=limits.aupro),
        **{("au_spro", f"at_{limit:g}"): au_spro(counts, limit=limit) for limit in limits.spro},
    }


def intervals_of(
    values: Mapping[Name, Measured], curves: Mapping[str, ImageCurves], limits: PixelLimits, resampling: Resampling
) -> dict[Name, Interval]:
    """Compute intervals of what is defined and is an area over the false-positive rate: not of average precision."""
    kinds: dict[Name, tuple[str, str | None, float]] = {
        ("pixel_auroc",): ("defect", None, 1.0),
        ("aupro",): ("overlap", "regions", limits.aupro),
        **{("au_spro", f"at_{limit:g}"): ("saturated", "annotated", limit) for limit in limits.spro},
    }
    found = {}
    for name, (table, number, limit) in kinds.items():
        for group in GROUPS:
            value = values[(*name, group)]
            if not isinstance(value, Undefined):
                strata = [curves[part] for part in parts_of(group)]
                found[(*name, group)] = pixel_interval(
                    strata, value, table=table, number=number, limit=limit, resampling=resampling
                )
    return found


def images_without_mask(test: pd.DataFrame) -> int:
    """Count the anomalous test images that pixel metrics exclude."""
    return int((test["is_anomalous"] & (test["mask_files"].map(len) == 0)).sum())
