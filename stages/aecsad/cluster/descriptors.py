"""A point for each instance, such that instances of one class lie close together."""

import numpy as np
from jaxtyping import Float32, Float64

from stages.aecsad.cluster.instance_table import InstanceTable

PROJECTION_STD = 0.01  # of the random weights in CSAD's code


def describe_instances(
    table: InstanceTable, appearance: Float32[np.ndarray, "M C"], *, dimensions: int
) -> Float64[np.ndarray, "M D"]:
    """Shape, colour and appearance side by side, each with a total variance of 1.

    Shape: log area, log axes, fill ratio (area / area of the ellipse with the same second moments).
    Colour: mean Lab. Appearance: leading principal components of the encoder's features.
    """
    fill = table.area / (np.pi / 4 * table.axes.prod(axis=1))
    shape = np.column_stack([np.log(table.area), np.log(table.axes), fill])
    groups = [standardised(shape), table.lab, principal_components(appearance.astype(np.float64), dimensions)]
    return np.concatenate([unit_variance(group) for group in groups], axis=1)


def project(appearance: Float32[np.ndarray, "M C"], *, dimensions: int, seed: int) -> Float64[np.ndarray, "M D"]:
    """A random linear map of the features, weights from N(0, 0.01²) and no bias, as in CSAD's code.

    Its fixed bandwidth of 3.5 is only meaningful for this map of WideResNet-50-2's 2048 features to 512.
    """
    weights = np.random.default_rng(seed).normal(0, PROJECTION_STD, size=(appearance.shape[1], dimensions))
    return np.asarray(appearance.astype(np.float64) @ weights)


def standardised(values: Float64[np.ndarray, "M D"]) -> Float64[np.ndarray, "M D"]:
    """Zero mean and unit variance per column; a constant column becomes 0."""
    std = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(std > 1e-12, std, 1))


def principal_components(values: Float64[np.ndarray, "M C"], dimensions: int) -> Float64[np.ndarray, "M D"]:
    """Coordinates along the directions of largest variance; fewer when the data has fewer."""
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, :dimensions] * singular[:dimensions])


def unit_variance(values: Float64[np.ndarray, "M D"]) -> Float64[np.ndarray, "M D"]:
    """Centred, and scaled as a whole to a total variance of 1; constant values become 0."""
    centred = values - values.mean(axis=0)
    total = np.sqrt(np.square(centred).sum(axis=1).mean())
    return centred / total if total > 1e-12 else np.zeros_like(centred)
