"""The whole way from component maps to label maps.

Classes of components: modes of their descriptors.

From instances to label maps: find classes, drop the rare and the tiny.
"""

import logging
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from sklearn.cluster import estimate_bandwidth
from torch import Tensor

from stages.aecsad.cluster.composition import Plausibility, group_compositions, judge
from stages.aecsad.cluster.describe import InstanceTable, describe, measure_instances
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.patch_histogram import patch_histograms
from stages.core.io.components import ComponentMaps

EQUAL = 1e-9  # a bandwidth below this means that most instances are identical
MAX_STEPS = 300
STOP = 1e-3  # of the bandwidth
LOG = logging.getLogger(__name__)


def find_classes(
    descriptors: Float64[np.ndarray, "M D"],
    *,
    bandwidth: float | None,
    quantile: float | None,
    sample: int,
    seed: int,
) -> Int64[np.ndarray, " M"]:
    """Mode that each instance belongs to, 1.. in no particular order.

    MeanShift with a flat kernel. Where `bandwidth` is None, it is the mean distance of a point to the farthest of its
    nearest `quantile` of all points; a fixed one (CSAD: 3.5) is only meaningful for the features it was chosen on.

    Args:
        sample: at most this many random instances give the bandwidth and the modes; the others join the nearest mode.
    """
    chosen = descriptors[np.random.default_rng(seed).permutation(len(descriptors))[:sample]]
    if bandwidth is None:
        bandwidth = estimate_bandwidth(chosen, quantile=quantile)
    if bandwidth < EQUAL:
        _, found = np.unique(descriptors.round(9), axis=0, return_inverse=True)
    else:
        found = squared_distances(descriptors, find_modes(chosen, bandwidth)).argmin(axis=1)
    return found.astype(np.int64) + 1


def find_modes(points: Float64[np.ndarray, "n D"], bandwidth: float) -> Float64[np.ndarray, "k D"]:
    """Modes of the density of `points`, the same as those of `sklearn.cluster.MeanShift` (a test compares them).

    All points move at once to the mean of the points within the bandwidth, until none moves by STOP bandwidths: one
    matrix product a step, where scikit-learn asks a tree for each point. Of modes closer than the bandwidth, the one
    with the most points around it stays.
    """
    modes = points
    for _ in range(MAX_STEPS):
        near = squared_distances(modes, points) <= bandwidth**2
        moved = near @ points / near.sum(axis=1, keepdims=True)
        step, modes = np.abs(moved - modes).max(), moved
        if step < STOP * bandwidth:
            break
    support = (squared_distances(modes, points) <= bandwidth**2).sum(axis=1)
    kept: list[np.ndarray] = []
    for row in np.lexsort([*-modes.T[::-1], -support]):  # ties as in scikit-learn: the larger coordinates first
        if all(np.linalg.norm(modes[row] - other) > bandwidth for other in kept):
            kept.append(modes[row])
    return np.stack(kept)


def squared_distances(one: Float64[np.ndarray, "n D"], other: Float64[np.ndarray, "m D"]) -> Float64[np.ndarray, "n m"]:
    """Squared Euclidean distance of every pair."""
    squares = np.square(one).sum(axis=1)[:, None] + np.square(other).sum(axis=1)
    return np.asarray(np.maximum(squares - 2 * one @ other.T, 0))


def by_frequency(found: Int64[np.ndarray, " M"], *, min_count: float) -> Int64[np.ndarray, " M"]:
    """Renumber groups 1.. by falling size; 0 for groups with fewer than `min_count` instances, and for group 0."""
    counts = np.bincount(found, minlength=1)
    kept = counts >= max(min_count, 1)
    kept[0] = False
    order = np.argsort(np.where(kept, -counts, 1), kind="stable")
    renumbered = np.zeros(len(counts), dtype=np.int64)
    renumbered[order] = np.arange(1, len(counts) + 1)
    renumbered[~kept] = 0
    return np.asarray(renumbered[found], dtype=np.int64)


def classify_instances(
    components: ComponentMaps,
    images: UInt8[Tensor, "N 3 H W"],
    encoder_name: str,
    *,
    bandwidth: float | None,
    bandwidth_quantile: float | None,
    bandwidth_sample: int,
    min_class_share: float,
    seed: int,
    **description: Any,
) -> tuple[InstanceTable, Int64[np.ndarray, " M"]]:
    """Class of every instance, 1.. by falling frequency, 0 for instances of rare classes.

    Kinds that the proposer knows are the classes; otherwise instances are described and clustered.

    Args:
        bandwidth, bandwidth_quantile, bandwidth_sample: see `find_classes`.
        min_class_share: smallest number of instances of a class, as a fraction of the number of images.
        description: further arguments of `describe`.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    table = measure_instances(components.values, pixels)
    min_count = min_class_share * len(images)
    kinds = components.kinds[table.image, table.number].astype(np.int64)
    if len(kinds) < 2 or kinds.all():
        return table, by_frequency(kinds, min_count=min_count)
    descriptors = describe(components, pixels, table, encoder_name, seed=seed, **description)
    found = find_classes(
        descriptors, bandwidth=bandwidth, quantile=bandwidth_quantile, sample=bandwidth_sample, seed=seed
    )
    return table, by_frequency(found, min_count=min_count)


def paint_classes(
    components: ComponentMaps, table: InstanceTable, classes: Int64[np.ndarray, " M"], *, min_area: float
) -> tuple[UInt8[np.ndarray, "N H W"], Int64[np.ndarray, " M"]]:
    """Label maps of the classes, and the classes renumbered without those of a tiny mean area.

    Args:
        min_area: a class stays when it covers more than this share of an image, on average (CSAD: 0.001).
    """
    pixels = components.values.size
    areas = np.bincount(classes, weights=table.area, minlength=1) / max(pixels, 1)
    kept = areas > min_area
    kept[0] = False
    classes = np.where(kept, np.cumsum(kept), 0)[classes]
    colours = np.zeros(components.kinds.shape, dtype=np.uint8)
    colours[table.image, table.number] = classes
    rows = np.arange(len(components.values))[:, None, None]
    return colours[rows, components.values], classes


def label_images(
    components: ComponentMaps,
    images: UInt8[Tensor, "N 3 H W"],
    encoder_name: str,
    *,
    min_class_area: float,
    groups: str,
    min_group_share: float,
    labelled_share: float,
    max_spread: float,
    max_count_variation: float,
    seed: int,
    **classification: Any,
) -> tuple[LabelMaps, Plausibility]:
    """Label every image and judge the labels; labels that are not plausible are withdrawn (num_classes 1).

    Args:
        classification: further arguments of `classify_instances`.
    """
    table, classes = classify_instances(components, images, encoder_name, seed=seed, **classification)
    values, classes = paint_classes(components, table, classes, min_area=min_class_area)
    num_classes = int(classes.max(initial=0)) + 1
    areas = patch_histograms(values, grid=1, num_classes=num_classes)[:, 1:]
    compositions = group_compositions(
        areas, groups=groups, min_group_share=min_group_share, labelled_share=labelled_share
    )
    counts = np.bincount(table.image[classes > 0], minlength=len(images))
    verdict = judge(
        areas,
        counts,
        compositions,
        max_spread=max_spread,
        max_count_variation=max_count_variation,
    )
    if verdict.plausible:
        return LabelMaps(components.image_ids, values, num_classes, compositions.labelled), verdict
    LOG.warning("no usable component classes, the histogram branch stays out: %s", "; ".join(verdict.reasons))
    none = np.zeros(len(images), dtype=bool)
    return LabelMaps(components.image_ids, np.zeros_like(values), 1, none), verdict
