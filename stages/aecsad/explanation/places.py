"""Places: where the components of a class lie in normal images, where their number never varies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.cluster import KMeans

from stages.aecsad.explanation.instances import Instance

MIN_SPREAD = 0.01  # of a place, in image sides
MIN_AREA_SPREAD = 0.05  # of the mean area


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
