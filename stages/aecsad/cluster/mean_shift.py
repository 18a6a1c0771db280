"""Classes of components: modes of their descriptors."""

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.cluster import MeanShift, estimate_bandwidth

EQUAL = 1e-9  # a bandwidth below this means that most instances are identical


def find_classes(
    descriptors: Float64[np.ndarray, "M D"], *, quantile: float, sample: int, seed: int
) -> Int64[np.ndarray, "M"]:
    """Mode that each instance belongs to, 1.. in no particular order.

    MeanShift with a flat kernel; its bandwidth is the mean distance of a point to the farthest of its nearest
    `quantile` of all points, since a fixed one (CSAD: 3.5) is only meaningful for the features it was chosen on.

    Args:
        sample: at most this many random instances give the bandwidth and the modes; the others join the nearest mode.
    """
    chosen = np.random.default_rng(seed).permutation(len(descriptors))[:sample]
    bandwidth = estimate_bandwidth(descriptors[chosen], quantile=quantile)
    if bandwidth < EQUAL:
        _, found = np.unique(descriptors.round(9), axis=0, return_inverse=True)
    else:
        found = MeanShift(bandwidth=bandwidth).fit(descriptors[chosen]).predict(descriptors)
    return found.astype(np.int64) + 1


def by_frequency(found: Int64[np.ndarray, "M"], *, min_count: float) -> Int64[np.ndarray, "M"]:
    """Renumber groups 1.. by falling size; 0 for groups with fewer than `min_count` instances, and for group 0."""
    counts = np.bincount(found, minlength=1)
    kept = counts >= max(min_count, 1)
    kept[0] = False
    order = np.argsort(np.where(kept, -counts, 1), kind="stable")
    renumbered = np.zeros(len(counts), dtype=np.int64)
    renumbered[order] = np.arange(1, len(counts) + 1)
    return np.where(kept, renumbered, 0)[found]
