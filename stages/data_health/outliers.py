"""Images that are darker, brighter, more or less sharp than others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TO_STANDARD_DEVIATION = 1.4826  # of a normal distribution's median absolute deviation


@dataclass(frozen=True)
class Outlier:
    """One image; `deviation` in robust standard deviations, positive when above the median."""

    image_id: str
    split: str
    measure: str
    value: float
    deviation: float


def find_outliers(
    rows: Sequence[tuple[str, str]], values: Sequence[float], *, measure: str, limit: float
) -> list[Outlier]:
    """Images whose value lies more than `limit` robust standard deviations from the training images' median.

    Args:
        rows: (image_id, split) of each value.

    Returns:
        The farthest first; none where there is no training image, or all of them have the same value.
    """
    measured = np.asarray(values, dtype=np.float64)
    training = measured[[split == "train" for _, split in rows]]
    if not len(training):
        return []
    median = float(np.median(training))
    spread = TO_STANDARD_DEVIATION * float(np.median(np.abs(training - median)))
    if spread == 0:
        return []
    deviations = (measured - median) / spread
    found = [
        Outlier(*rows[index], measure, float(measured[index]), float(deviations[index]))
        for index in np.flatnonzero(np.abs(deviations) > limit).tolist()
    ]
    return sorted(found, key=lambda outlier: -abs(outlier.deviation))
