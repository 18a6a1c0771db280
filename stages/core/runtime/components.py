"""Explain an image by its components: counts by place, sizes and places of components, areas of classes by cell.

A component is a connected region of one class. Where the number of a class's components hardly varies in normal images
and they can be told apart by where they are, each has a `Place`, from which it can be missing or displaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.core.runtime.explanation import Box, Explanation
from stages.core.runtime.histograms import patch_histograms
from stages.core.runtime.regions import MaskRegion, mask_regions

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, UInt8

BRANCH = "histogram"  # that these findings explain
COUNT_SPREAD = 0.05  # of a number that never varied: one image in 400 with one more or less
UNUSUAL = 2.0  # standard deviations from which the area of a class in a cell is a finding


@dataclass(frozen=True)
class Place:
    """One component's place in normal images.

    Attributes:
        centre: mean of the components' centres, (down, right).
        spread: standard deviation of the distance to it, in image sides.
        area, area_spread: mean and standard deviation of the area.
        size: mean (height, width) of the boxes.
    """

    centre: tuple[float, float]
    spread: float
    area: float
    area_spread: float
    size: tuple[float, float]


@dataclass(frozen=True)
class NormalComponents:
    """What component classes are like in training images.

    Attributes:
        places: of each class whose components can be counted.
        mean, spread: of each class's area in each cell, as in `patch_histograms`; spread above 0.
        min_area: smallest component that is counted, as a share of the image.
    """

    grid: int
    num_classes: int
    places: Mapping[int, Sequence[Place]]
    mean: Float64[np.ndarray, " D"]
    spread: Float64[np.ndarray, " D"]
    min_area: float


def find_components(label_map: UInt8[np.ndarray, "H W"], component: int, *, min_area: float) -> list[MaskRegion]:
    """Find the connected regions of a class, in reading order of their upper left corners.

    Args:
        min_area: share of the image below which a region is not counted.
    """
    return mask_regions(label_map == component, min_area=min_area * label_map.size)


def explain_components(normal: NormalComponents, label_map: UInt8[np.ndarray, "H W"]) -> list[Explanation]:
    """Return all findings in one image, the most unusual first."""
    found = [*cell_findings(normal, label_map)]
    for component, places in normal.places.items():
        regions = find_components(label_map, component, min_area=normal.min_area)
        found += place_findings(component, regions, places)
    return sorted(found, key=lambda finding: -finding.deviation)


def distances(regions: Sequence[MaskRegion], places: Sequence[Place]) -> Float64[np.ndarray, "components places"]:
    """Return the distance of each component to each place, in spreads of the place."""
    centres = np.array([region.centre for region in regions]).reshape(-1, 1, 2)
    targets = np.array([place.centre for place in places])
    gaps = np.linalg.norm(centres - targets, axis=2)
    return np.asarray(gaps / np.array([place.spread for place in places]), dtype=np.float64)


def nearest_place(gaps: Float64[np.ndarray, "components places"]) -> Int64[np.ndarray, " components"]:
    """Return the place that each component belongs to; several may share one."""
    return gaps.argmin(axis=1) if len(gaps) else np.zeros(0, dtype=np.int64)


def place_findings(component: int, regions: Sequence[MaskRegion], places: Sequence[Place]) -> Iterator[Explanation]:
    """Yield places without a component, components that share a place, and every component's size and place."""
    gaps = distances(regions, places)
    nearest = nearest_place(gaps)
    counts = (float(len(regions)), float(len(places)))
    for number, place in enumerate(places):
        own = sorted(np.flatnonzero(nearest == number).tolist(), key=lambda index: gaps[index, number])
        if not own:
            box = expected_box(place)
            yield Explanation(BRANCH, component, "missing", box, *counts, 1 / COUNT_SPREAD)
        for index in own[1:]:
            box, deviation = regions[index].box, 1 / COUNT_SPREAD + gaps[index, number]
            yield Explanation(BRANCH, component, "extra", box, *counts, float(deviation))
        for index in own:
            yield from region_findings(component, regions[index], place, float(gaps[index, number]))


def region_findings(component: int, region: MaskRegion, place: Place, gap: float) -> Iterator[Explanation]:
    """Yield how far a component's area and place are from what is normal there."""
    deviation = abs(region.share - place.area) / place.area_spread
    yield Explanation(BRANCH, component, "area", region.box, region.share, place.area, deviation)
    yield Explanation(BRANCH, component, "place", region.box, gap * place.spread, 0.0, gap)


def expected_box(place: Place) -> Box:
    """Return where a missing component would be: the mean box, wider by the spread on each side, within the image."""
    down, across = (side / 2 + place.spread for side in place.size)
    y, x = place.centre
    return (max(y - down, 0.0), max(x - across, 0.0), min(y + down, 1.0), min(x + across, 1.0))


def cell_findings(normal: NormalComponents, label_map: UInt8[np.ndarray, "H W"]) -> Iterator[Explanation]:
    """Yield the area of each class in each cell, where it is at least UNUSUAL standard deviations from normal."""
    (histogram,) = patch_histograms(label_map[None], grid=normal.grid, num_classes=normal.num_classes)
    deviations = np.abs(histogram - normal.mean) / normal.spread
    for index in np.flatnonzero(deviations >= UNUSUAL).tolist():
        cell, component = divmod(index, normal.num_classes)
        column, row = divmod(cell, normal.grid)  # cells go down the columns
        box = (row / normal.grid, column / normal.grid, (row + 1) / normal.grid, (column + 1) / normal.grid)
        observed, usual = (float(values[index]) / normal.grid**2 for values in (histogram, normal.mean))
        yield Explanation(BRANCH, component, "cell_area", box, observed, usual, float(deviations[index]))
