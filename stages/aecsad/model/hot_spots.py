"""Fit how hot anomaly maps are at most, and which class is usual where; `stages.core.runtime.spots` explains by it."""

import numpy as np
from jaxtyping import Float, UInt8

from stages.core.runtime.spots import NormalSpots

TINY = 1e-12  # spread of maps that are all the same


def fit_spots(branch: str, validation: Float[np.ndarray, "N h w"]) -> NormalSpots:
    """Fit on the maps of normal validation images."""
    peaks = validation.max(axis=(1, 2)).astype(np.float64)
    return NormalSpots(branch, float(peaks.mean()), max(float(peaks.std()), TINY))


def usual_classes(label_maps: UInt8[np.ndarray, "N H W"], *, num_classes: int) -> UInt8[np.ndarray, "H W"]:
    """Return the class that most label maps show at each pixel; of equally frequent ones the lowest."""
    counts = np.stack([(label_maps == label).sum(axis=0) for label in range(num_classes)])
    return np.asarray(counts.argmax(axis=0), dtype=np.uint8)
