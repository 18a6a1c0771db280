"""Find the classes of component instances: modes of the density of their descriptors (MeanShift)."""

import numpy as np
from jaxtyping import Float64, Int64

EQUAL = 1e-9  # a bandwidth below this means that most instances are identical
MAX_STEPS = 300
STOP = 1e-3  # of the bandwidth


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
        from sklearn.cluster import estimate_bandwidth  # takes a second, and kinds that are known need none of it

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
