"""Synthetic logical anomalies made from normal label maps: a component removed, doubled or of another class."""

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from stages.core.images.regions import Region, connected_regions
from stages.core.run.console import progress

LabelMap = UInt8[np.ndarray, "H W"]
RING = np.ones((5, 5), dtype=np.uint8)  # what counts as around a region: two pixels


def edit_components(
    label_maps: UInt8[np.ndarray, "N H W"],
    *,
    num_classes: int,
    edits_per_image: int,
    min_area: float,
    max_area: float,
    random: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "M H W"], Int[np.ndarray, " M"]]:
    """Edit copies of label maps; each differs from its original in one component.

    Moved components are not among the edits: where the layout is free, a move is normal.

    Args:
        num_classes: background included; a component changes its class only where there is a second one.
        min_area, max_area: of the edited component, as fractions of the image.

    Returns:
        M <= N * edits_per_image maps, as images without a component of that size give none; and the row in `label_maps`
        that each was made from.
    """
    edits = [remove, duplicate] + ([reclassify] if num_classes > 2 else [])
    edited, sources = [], []
    for row, labels in enumerate(progress(label_maps, total=len(label_maps), label="edited label maps")):
        regions = find_regions(labels, min_area=min_area, max_area=max_area)
        for _ in range(edits_per_image if regions else 0):
            region = regions[random.integers(len(regions))]
            copy = labels.copy()
            edits[random.integers(len(edits))](copy, region, num_classes, random)
            edited.append(copy)
            sources.append(row)
    maps = np.stack(edited) if edited else np.zeros((0, *label_maps.shape[1:]), dtype=np.uint8)
    return maps, np.array(sources, dtype=int)


def find_regions(labels: LabelMap, *, min_area: float, max_area: float) -> list[Region]:
    """Find the regions of component classes whose area, as a share of the image, is within the bounds."""
    return [region for region in connected_regions(labels) if min_area <= region.share <= max_area]


def remove(labels: LabelMap, region: Region, num_classes: int, random: np.random.Generator) -> None:
    """Fill the region with the class most frequent around it."""
    mask = region.mask
    ring = cv2.dilate(mask.astype(np.uint8), RING).astype(bool) & ~mask
    labels[mask] = np.bincount(labels[ring], minlength=1).argmax()


def duplicate(labels: LabelMap, region: Region, num_classes: int, random: np.random.Generator) -> None:
    """Put a copy of the region at a random place that is wholly inside the image."""
    rows, columns = np.nonzero(region.mask)
    down = random.integers(-rows.min(), labels.shape[0] - rows.max())
    right = random.integers(-columns.min(), labels.shape[1] - columns.max())
    labels[rows + down, columns + right] = region.label


def reclassify(labels: LabelMap, region: Region, num_classes: int, random: np.random.Generator) -> None:
    """Give the region another component class."""
    step = int(random.integers(1, num_classes - 1))
    region.paint(labels, 1 + (region.label - 1 + step) % (num_classes - 1))
