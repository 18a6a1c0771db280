"""Connected regions of a mask in NumPy alone, as a bundle needs them; OpenCV finds the same ones (a test)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

    from stages.core.runtime.explanation import Box


@dataclass(frozen=True)
class MaskRegion:
    """One 8-connected region of a mask.

    Attributes:
        area: pixels.
        share: its area as a share of the mask's.
        centre: mean of its pixels as shares of height and width, (down, right).
        box: (top, left, bottom, right) as shares of height and width.
    """

    area: int
    share: float
    centre: tuple[float, float]
    box: Box


@dataclass(frozen=True)
class Runs:
    """Maximal rows of pixels of a mask, in reading order; `end` is exclusive, `region` numbers what they belong to."""

    row: Int64[np.ndarray, " R"]
    start: Int64[np.ndarray, " R"]
    end: Int64[np.ndarray, " R"]
    region: Int64[np.ndarray, " R"]


def mask_regions(mask: Bool[np.ndarray, "H W"], *, min_area: float = 0.0) -> list[MaskRegion]:
    """Find the 8-connected regions, in reading order of their upper left corners, then of their first pixels.

    Args:
        mask: which pixels are looked at.
        min_area: pixels; smaller regions are excluded.
    """
    runs = runs_of(mask)
    found = [region_of(runs, number, mask.shape) for number in range(int(runs.region.max(initial=-1)) + 1)]
    return sorted((one for one in found if one.area >= min_area), key=lambda one: one.box[:2])


def region_at(mask: Bool[np.ndarray, "H W"], row: int, column: int) -> MaskRegion:
    """Return the region that a pixel of the mask belongs to."""
    runs = runs_of(mask)
    (place,) = np.flatnonzero((runs.row == row) & (runs.start <= column) & (column < runs.end))
    return region_of(runs, int(runs.region[place]), mask.shape)


def runs_of(mask: Bool[np.ndarray, "H W"]) -> Runs:
    """Cut a mask into runs, and join those that touch, also at corners."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    row, start = np.nonzero(steps == 1)
    end = np.nonzero(steps == -1)[1]
    # Runs of the next row that begin before this one has ended, by one pixel or less, and end after it has begun.
    scale = width + 2
    first = np.searchsorted(row * scale + end, (row + 1) * scale + start, side="left")
    last = np.searchsorted(row * scale + start, (row + 1) * scale + end, side="right")
    parents = list(range(len(row)))
    for upper, (low, high) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        for lower in range(low, high):
            one, other = root(parents, upper), root(parents, lower)
            parents[max(one, other)] = min(one, other)
    roots = [root(parents, one) for one in range(len(row))]
    region = np.unique(roots, return_inverse=True)[1] if roots else np.zeros(0, dtype=np.int64)
    return Runs(row, start, end, region.astype(np.int64))


def root(parents: list[int], one: int) -> int:
    """Return the first run that a run is joined with; the way there is halved."""
    while parents[one] != one:
        parents[one] = parents[parents[one]]
        one = parents[one]
    return one


def region_of(runs: Runs, number: int, size: tuple[int, ...]) -> MaskRegion:
    """Measure a region."""
    height, width = size
    own = runs.region == number
    row, start, end = runs.row[own], runs.start[own], runs.end[own]
    length = end - start
    area = int(length.sum())
    down, across = float((row * length).sum() / area), float((length * (start + end - 1) / 2).sum() / area)
    top, bottom, left, right = row.min(), row.max() + 1, start.min(), end.max()
    return MaskRegion(
        area,
        area / (height * width),
        ((down + 0.5) / height, (across + 0.5) / width),
        (float(top / height), float(left / width), float(bottom / height), float(right / width)),
    )
