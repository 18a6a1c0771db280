"""From component maps to label maps: find the classes, drop the rare and the tiny, and judge the rest.

A class is a kind that the proposer knows, or a mode of the instances' descriptors.
"""

import logging

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from sklearn.cluster import estimate_bandwidth

from stages.aecsad.cluster.composition import Plausibility, group_compositions, judge_classes
from stages.aecsad.cluster.describe import InstanceTable, describe, measure_instances
from stages.aecsad.cluster.params import ClusterParams
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
    """Find the mode that each instance belongs to, 1.. in no particular order.

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
    """Find the modes of the density of `points`, those of `sklearn.cluster.MeanShift` (a test compares them).

    All points move at once to the mean of the points within the bandwidth, until none moves by STOP bandwidths: one
    matrix product a step, where scikit-learn asks a tree for each point. Of modes closer than the bandwidth, the one
    with the most points around it is kept.
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
    """Return the squared Euclidean distance of every pair."""
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


def paint_classes(
    components: ComponentMaps, table: InstanceTable, classes: Int64[np.ndarray, " M"], *, min_area: float
) -> tuple[UInt8[np.ndarray, "N H W"], Int64[np.ndarray, " M"]]:
    """Return label maps of the classes, and the classes renumbered without those of a tiny mean area.

    Args:
        min_area: a class is kept when it covers more than this share of an image, on average (CSAD: 0.001).
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
    images: UInt8[np.ndarray, "N H W 3"],
    encoder_name: str,
    params: ClusterParams,
    *,
    seed: int,
) -> tuple[LabelMaps, Plausibility]:
    """Label every image and judge the labels; labels that are not plausible are withdrawn.

    Args:
        images: in the order of `components`.
    """
    table = measure_instances(components.values, images)
    kinds = components.kinds[table.image, table.number].astype(np.int64)
    if len(kinds) >= 2 and not kinds.all():  # the proposer does not know the classes
        kinds = cluster_instances(components, images, table, encoder_name, params, seed=seed)
    classes = by_frequency(kinds, min_count=params.min_class_share * len(images))
    values, classes = paint_classes(components, table, classes, min_area=params.min_class_area)
    num_classes = int(classes.max(initial=0)) + 1
    areas = patch_histograms(values, grid=1, num_classes=num_classes)[:, 1:]
    compositions = group_compositions(
        areas, groups=params.groups, min_group_share=params.min_group_share, labelled_share=params.labelled_share
    )
    counts = np.bincount(table.image[classes > 0], minlength=len(images))
    verdict = judge_classes(
        areas, counts, compositions, max_spread=params.max_spread, max_count_variation=params.max_count_variation
    )
    label_maps = LabelMaps(components.image_ids, values, num_classes, compositions.labelled)
    if verdict.plausible:
        return label_maps, verdict
    LOG.warning("no usable component classes, the histogram branch is excluded: %s", "; ".join(verdict.reasons))
    return label_maps.without_classes(), verdict


def cluster_instances(
    components: ComponentMaps,
    images: UInt8[np.ndarray, "N H W 3"],
    table: InstanceTable,
    encoder_name: str,
    params: ClusterParams,
    *,
    seed: int,
) -> Int64[np.ndarray, " M"]:
    """Describe the instances and find the mode that each one belongs to, 1.. in no particular order."""
    descriptors = describe(
        components, images, table, encoder_name, crop_size=params.crop_size, descriptor=params.descriptor,
        views=params.views, appearance_dimensions=params.appearance_dimensions, seed=seed,
    )  # fmt: skip
    return find_classes(
        descriptors, bandwidth=params.bandwidth, quantile=params.bandwidth_quantile, sample=params.bandwidth_sample,
        seed=seed,
    )  # fmt: skip
