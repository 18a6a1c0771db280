"""What the component classes of an image say: counts by place, sizes and places of components, areas by cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from stages.aecsad.explanation.instances import Instance, find_instances
from stages.aecsad.explanation.places import Place, distances, fit_places, nearest_place
from stages.aecsad.explanation.words import times
from stages.core.artifacts.explanations import Box, Explanation
from stages.core.explaining.places import where
from stages.core.patch_histogram import patch_histograms

BRANCH = "histogram"
COUNT_SPREAD = 0.05  # of a number that never varied: one image in 400 with one more or less


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
