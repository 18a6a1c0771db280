"""Fit what component classes are like in training images; `stages.core.runtime.components` explains images by it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from stages.core.runtime.components import NormalComponents, Place, find_components
from stages.core.runtime.histograms import patch_histograms
from stages.core.runtime.regions import MaskRegion

MIN_SPREAD = 0.01  # of a place, in image sides
MIN_AREA_SPREAD = 0.05  # of the mean area


def fit_places(images: Sequence[Sequence[MaskRegion]], *, stable_share: float, seed: int) -> list[Place] | None:
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
    centres = np.array([region.centre for region in typical])
    if len(np.unique(centres, axis=0)) < number:
        return None
    from sklearn.cluster import KMeans  # takes a second, and without component classes there is no place

    labels = KMeans(number, n_init=5, random_state=seed).fit_predict(centres)
    by_image = np.sort(labels.reshape(-1, number), axis=1)
    if np.mean((by_image == np.arange(number)).all(axis=1)) < stable_share:
        return None
    return [place_of([typical[i] for i in np.flatnonzero(labels == label)]) for label in range(number)]


def place_of(regions: Sequence[MaskRegion]) -> Place:
    """Return the place that these components of different images share."""
    centres = np.array([region.centre for region in regions])
    areas = np.array([region.share for region in regions])
    sizes = np.array([(region.box[2] - region.box[0], region.box[3] - region.box[1]) for region in regions])
    centre, size, area = centres.mean(axis=0), sizes.mean(axis=0), float(areas.mean())
    return Place(
        (float(centre[0]), float(centre[1])),
        max(float(np.sqrt(centres.var(axis=0).sum())), MIN_SPREAD),
        area,
        max(float(areas.std()), MIN_AREA_SPREAD * area),
        (float(size[0]), float(size[1])),
    )


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
