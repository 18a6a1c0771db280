"""Explain an image by its components: counts by place, sizes and places of components, areas of classes by cell.

A component is a connected region of one class. Where the number of a class's components hardly varies in normal images
and they can be told apart by where they are, each has a `Place`, from which it can be missing or displaced.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from sklearn.cluster import KMeans

from stages.aecsad.model.fusion import HISTOGRAM
from stages.core.images.regions import Region, connected_regions
from stages.core.io.explanations import Box, Explanation
from stages.core.runtime.histograms import patch_histograms

MIN_SPREAD = 0.01  # of a place, in image sides
MIN_AREA_SPREAD = 0.05  # of the mean area
COUNT_SPREAD = 0.05  # of a number that never varied: one image in 400 with one more or less
UNUSUAL = 2.0  # standard deviations from which the area of a class in a cell is a finding


def find_components(label_map: UInt8[np.ndarray, "H W"], component: int, *, min_area: float) -> list[Region]:
    """Find the connected regions of a class, in reading order of their upper left corners.

    Args:
        min_area: share of the image below which a region is not counted.
    """
    found = connected_regions(label_map == component, min_area=min_area * label_map.size)
    return sorted(found, key=lambda region: region.box[:2])


def share_box(region: Region) -> Box:
    """Return a region's box as explanations have it, in shares of the image's height and width."""
    (height, width), (top, left, bottom, right) = region.size, region.box
    return (top / height, left / width, bottom / height, right / width)


def share_centre(region: Region) -> tuple[float, float]:
    """Return the mean of a region's pixels as shares of height and width, (down, right)."""
    (height, width), (x, y) = region.size, region.centre
    return ((y + 0.5) / height, (x + 0.5) / width)


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


def fit_places(images: Sequence[Sequence[Region]], *, stable_share: float, seed: int) -> list[Place] | None:
    """Fit the places of a class, one for each component that a normal image has, by k-means over their centres.

    Args:
        images: the components of the class in each normal image.

    Returns:
        None where the number of components varies in more than 1 - stable_share of the images, or where components
        cannot be told apart by their places.
    """
    counts = np.array([len(regions) for regions in images])
    number = int(np.bincount(counts).argmax()) if len(counts) else 0
    if not number or np.mean(counts == number) < stable_share:
        return None
    typical = [region for regions in images if len(regions) == number for region in regions]
    centres = np.array([share_centre(region) for region in typical])
    if len(np.unique(centres, axis=0)) < number:
        return None
    labels = KMeans(number, n_init=5, random_state=seed).fit_predict(centres)
    by_image = np.sort(labels.reshape(-1, number), axis=1)
    if np.mean((by_image == np.arange(number)).all(axis=1)) < stable_share:
        return None
    return [place_of([typical[i] for i in np.flatnonzero(labels == label)]) for label in range(number)]


def place_of(regions: Sequence[Region]) -> Place:
    """Return the place that these components of different images share."""
    centres = np.array([share_centre(region) for region in regions])
    areas = np.array([region.share for region in regions])
    sizes = np.array([(box[2] - box[0], box[3] - box[1]) for box in map(share_box, regions)])
    centre, size, area = centres.mean(axis=0), sizes.mean(axis=0), float(areas.mean())
    return Place(
        (float(centre[0]), float(centre[1])),
        max(float(np.sqrt(centres.var(axis=0).sum())), MIN_SPREAD),
        area,
        max(float(areas.std()), MIN_AREA_SPREAD * area),
        (float(size[0]), float(size[1])),
    )


def distances(regions: Sequence[Region], places: Sequence[Place]) -> Float64[np.ndarray, "components places"]:
    """Return the distance of each component to each place, in spreads of the place."""
    centres = np.array([share_centre(region) for region in regions]).reshape(-1, 1, 2)
    targets = np.array([place.centre for place in places])
    gaps: Float64[np.ndarray, "components places"] = np.linalg.norm(centres - targets, axis=2)
    return np.asarray(gaps / np.array([place.spread for place in places]), dtype=np.float64)


def nearest_place(gaps: Float64[np.ndarray, "components places"]) -> Int64[np.ndarray, " components"]:
    """Return the place that each component belongs to; several may share one."""
    return gaps.argmin(axis=1) if len(gaps) else np.zeros(0, dtype=np.int64)


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


def fit_components(
    label_maps: UInt8[np.ndarray, "N H W"],
    *,
    num_classes: int,
    grid: int,
    min_area: float,
    stable_share: float,
    area_floor: float,
    seed: int,
) -> NormalComponents:
    """Fit on the label maps of training images; see `ExplanationParams` for the arguments."""
    places = {}
    for component in range(1, num_classes):
        found = [find_components(one, component, min_area=min_area) for one in label_maps]
        fitted = fit_places(found, stable_share=stable_share, seed=seed)
        if fitted is not None:
            places[component] = fitted
    histograms = patch_histograms(label_maps, grid=grid, num_classes=num_classes)
    spread = np.sqrt(histograms.var(axis=0) + area_floor**2)
    return NormalComponents(grid, num_classes, places, histograms.mean(axis=0), spread, min_area)


def explain_components(normal: NormalComponents, label_map: UInt8[np.ndarray, "H W"]) -> list[Explanation]:
    """Return all findings in one image, the most unusual first."""
    found = [*cell_findings(normal, label_map)]
    for component, places in normal.places.items():
        regions = find_components(label_map, component, min_area=normal.min_area)
        found += place_findings(component, regions, places)
    return sorted(found, key=lambda finding: -finding.deviation)


def place_findings(component: int, regions: Sequence[Region], places: Sequence[Place]) -> Iterator[Explanation]:
    """Yield places without a component, components that share a place, and every component's size and place."""
    gaps = distances(regions, places)
    nearest = nearest_place(gaps)
    counts = (float(len(regions)), float(len(places)))
    for number, place in enumerate(places):
        own = sorted(np.flatnonzero(nearest == number).tolist(), key=lambda index: gaps[index, number])
        if not own:
            box = expected_box(place)
            yield Explanation(HISTOGRAM, component, "missing", box, *counts, 1 / COUNT_SPREAD)
        for index in own[1:]:
            box, deviation = share_box(regions[index]), 1 / COUNT_SPREAD + gaps[index, number]
            yield Explanation(HISTOGRAM, component, "extra", box, *counts, float(deviation))
        for index in own:
            yield from region_findings(component, regions[index], place, float(gaps[index, number]))


def region_findings(component: int, region: Region, place: Place, gap: float) -> Iterator[Explanation]:
    """Yield how far a component's area and place are from what is normal there."""
    box, area = share_box(region), region.share
    deviation = abs(area - place.area) / place.area_spread
    yield Explanation(HISTOGRAM, component, "area", box, area, place.area, deviation)
    yield Explanation(HISTOGRAM, component, "place", box, gap * place.spread, 0.0, gap)


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
        yield Explanation(HISTOGRAM, component, "cell_area", box, observed, usual, float(deviations[index]))
