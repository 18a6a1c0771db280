"""What the component classes of an image say: counts by place, sizes and places of components, areas by cell.

Components as connected regions of one class.

Places: where the components of a class lie in normal images, where their number never varies.

Sizes in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8
from sklearn.cluster import KMeans

from stages.aecsad.model.hot_spots import where
from stages.aecsad.model.patch_histogram import patch_histograms
from stages.core.io.explanations import Box, Explanation

MIN_SPREAD = 0.01  # of a place, in image sides
MIN_AREA_SPREAD = 0.05  # of the mean area
BRANCH = "histogram"
COUNT_SPREAD = 0.05  # of a number that never varied: one image in 400 with one more or less


@dataclass(frozen=True)
class Instance:
    """One component.

    Attributes:
        area: share of the image.
        centre: (down, right) of its pixels' mean, as shares of height and width.
        box: as in explanations.
    """

    area: float
    centre: tuple[float, float]
    box: Box


def find_instances(label_map: UInt8[np.ndarray, "H W"], component: int, *, min_area: float) -> list[Instance]:
    """The 8-connected regions of a class, in reading order of their upper left corners.

    Args:
        min_area: share of the image below which a region is not counted.
    """
    height, width = label_map.shape
    count, _, stats, centres = cv2.connectedComponentsWithStats((label_map == component).astype(np.uint8))
    found = []
    for number in range(1, count):  # 0 is everything else
        left, top, across, down, pixels = stats[number].tolist()
        if pixels >= min_area * label_map.size:
            box = (top / height, left / width, (top + down) / height, (left + across) / width)
            x, y = centres[number].tolist()
            found.append(Instance(pixels / label_map.size, ((y + 0.5) / height, (x + 0.5) / width), box))
    return sorted(found, key=lambda instance: instance.box[:2])


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


def fit_places(images: Sequence[Sequence[Instance]], *, stable_share: float, seed: int) -> list[Place] | None:
    """Places of a class, one for each component that a normal image has, by k-means over their centres.

    Args:
        images: the components of the class in each normal image.

    Returns:
        None where the number of components varies in more than 1 - stable_share of the images, or where components
        cannot be told apart by their places.
    """
    counts = np.array([len(instances) for instances in images])
    number = int(np.bincount(counts).argmax()) if len(counts) else 0
    if not number or np.mean(counts == number) < stable_share:
        return None
    typical = [instance for instances in images if len(instances) == number for instance in instances]
    centres = np.array([instance.centre for instance in typical])
    if len(np.unique(centres, axis=0)) < number:
        return None
    labels = KMeans(number, n_init=5, random_state=seed).fit_predict(centres)
    by_image = np.sort(labels.reshape(-1, number), axis=1)
    if np.mean((by_image == np.arange(number)).all(axis=1)) < stable_share:
        return None
    return [place_of([typical[i] for i in np.flatnonzero(labels == label)]) for label in range(number)]


def place_of(instances: Sequence[Instance]) -> Place:
    """The place that these components of different images share."""
    centres = np.array([instance.centre for instance in instances])
    areas = np.array([instance.area for instance in instances])
    sizes = np.array([(box[2] - box[0], box[3] - box[1]) for box in (instance.box for instance in instances)])
    centre, size, area = centres.mean(axis=0), sizes.mean(axis=0), float(areas.mean())
    return Place(
        (float(centre[0]), float(centre[1])),
        max(float(np.sqrt(centres.var(axis=0).sum())), MIN_SPREAD),
        area,
        max(float(areas.std()), MIN_AREA_SPREAD * area),
        (float(size[0]), float(size[1])),
    )


def distances(instances: Sequence[Instance], places: Sequence[Place]) -> Float64[np.ndarray, "instances places"]:
    """Distance of each component to each place, in spreads of the place."""
    centres = np.array([instance.centre for instance in instances]).reshape(-1, 1, 2)
    targets = np.array([place.centre for place in places])
    gaps: Float64[np.ndarray, "instances places"] = np.linalg.norm(centres - targets, axis=2)
    return np.asarray(gaps / np.array([place.spread for place in places]), dtype=np.float64)


def nearest_place(gaps: Float64[np.ndarray, "instances places"]) -> Int64[np.ndarray, " instances"]:
    """The place that each component belongs to; several may share one."""
    return gaps.argmin(axis=1) if len(gaps) else np.zeros(0, dtype=np.int64)


def times(observed: float, normal: float) -> str:
    """The size beside the normal one, such as "0.5 x normal"."""
    if normal < 1e-4:
        return "where normal images have next to none"
    return f"{observed / normal:.1f} x normal" if observed / normal < 10 else "more than 10 x normal"


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
        found = [find_instances(one, component, min_area=min_area) for one in label_maps]
        fitted = fit_places(found, stable_share=stable_share, seed=seed)
        if fitted is not None:
            places[component] = fitted
    histograms = patch_histograms(label_maps, grid=grid, num_classes=num_classes)
    spread = np.sqrt(histograms.var(axis=0) + area_floor**2)
    return NormalComponents(grid, num_classes, places, histograms.mean(axis=0), spread, min_area)


def explain_components(normal: NormalComponents, label_map: UInt8[np.ndarray, "H W"]) -> list[Explanation]:
    """All findings in one image, the most unusual first."""
    found = [*cell_findings(normal, label_map)]
    for component, places in normal.places.items():
        instances = find_instances(label_map, component, min_area=normal.min_area)
        found += place_findings(component, instances, places)
    return sorted(found, key=lambda finding: -finding.deviation)


def place_findings(component: int, instances: Sequence[Instance], places: Sequence[Place]) -> Iterator[Explanation]:
    """Places without a component, components that share a place, and the size and place of every component."""
    gaps = distances(instances, places)
    nearest = nearest_place(gaps)
    counts = (float(len(instances)), float(len(places)))
    for number, place in enumerate(places):
        own = sorted(np.flatnonzero(nearest == number).tolist(), key=lambda index: gaps[index, number])
        if not own:
            box = expected_box(place)
            text = f"component {component}: {len(instances)}, normal {len(places)}; missing at the {where(box)}"
            yield Explanation(BRANCH, component, "missing", box, *counts, 1 / COUNT_SPREAD, text)
        for index in own[1:]:
            box, deviation = instances[index].box, 1 / COUNT_SPREAD + gaps[index, number]
            text = f"component {component}: {len(instances)}, normal {len(places)}; one too many at the {where(box)}"
            yield Explanation(BRANCH, component, "extra", box, *counts, float(deviation), text)
        for index in own:
            yield from instance_findings(component, instances[index], place, float(gaps[index, number]))


def instance_findings(component: int, instance: Instance, place: Place, gap: float) -> Iterator[Explanation]:
    """How far a component's area and place are from what is normal there."""
    at = where(instance.box)
    deviation = abs(instance.area - place.area) / place.area_spread
    text = f"component {component}: area {times(instance.area, place.area)} at the {at}"
    yield Explanation(BRANCH, component, "area", instance.box, instance.area, place.area, deviation, text)
    text = f"component {component}: displaced at the {at}"
    yield Explanation(BRANCH, component, "place", instance.box, gap * place.spread, 0.0, gap, text)


def expected_box(place: Place) -> Box:
    """Where a missing component would lie: the mean box, wider by the spread on each side, inside of the image."""
    down, across = (side / 2 + place.spread for side in place.size)
    y, x = place.centre
    return (max(y - down, 0.0), max(x - across, 0.0), min(y + down, 1.0), min(x + across, 1.0))


def cell_findings(normal: NormalComponents, label_map: UInt8[np.ndarray, "H W"]) -> Iterator[Explanation]:
    """The area of each class in each cell, where it is at least two standard deviations from normal."""
    (histogram,) = patch_histograms(label_map[None], grid=normal.grid, num_classes=normal.num_classes)
    deviations = np.abs(histogram - normal.mean) / normal.spread
    for index in np.flatnonzero(deviations >= 2).tolist():
        cell, component = divmod(index, normal.num_classes)
        column, row = divmod(cell, normal.grid)  # cells go down the columns
        box = (row / normal.grid, column / normal.grid, (row + 1) / normal.grid, (column + 1) / normal.grid)
        observed, usual = (float(values[index]) / normal.grid**2 for values in (histogram, normal.mean))
        text = f"component {component}: area {times(observed, usual)}, in row {row + 1}, column {column + 1}"
        text += f" of {normal.grid} x {normal.grid} cells"
        yield Explanation(BRANCH, component, "cell_area", box, observed, usual, float(deviations[index]), text)
