"""Thresholds from scores of normal images alone, and the band around them in which a verdict is unsure."""

import math

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from stages.core.runtime.calibration import Threshold


def conformal_threshold(normal: Float[np.ndarray, " n"], *, budget: float) -> Threshold:
    """Return the split-conformal threshold: an unseen normal score exceeds it with probability at most the budget.

        t = s_(k),  k = ceil((n + 1)(1 - budget)),    P(S > t) <= 1 - k / (n + 1)

    Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005; holds when validation and unseen normal
    images are exchangeable, which those held out in turns are nearly. When k > n no score is high enough: the largest
    one is taken and its rate 1 / (n + 1) is stated (`warn_of_few_normals` says so).

    Args:
        normal: scores of normal images that were held out.
        budget: in (0, 1).

    Raises:
        ValueError: there is no score, or one is not finite.
    """
    count = len(normal)
    if not count or not np.isfinite(normal).all():
        raise ValueError(f"a threshold needs finite scores of normal images, got {normal}")
    needed = math.ceil(1 / budget - 1e-9) - 1
    rank = count + 1 - math.floor((count + 1) * budget + 1e-9)  # 1e-9: 20 * 0.05 may come out below 1
    rank = min(rank, count)
    value = float(np.sort(normal)[rank - 1])
    return Threshold(value, budget, 1 - rank / (count + 1), count, needed)


def unsure_band(normal: Float[np.ndarray, " n"], *, budget: float, confidence: float) -> tuple[float, float, bool]:
    """Return between which scores a verdict is unsure, and whether there are too few images to end the band above.

    The band is the distribution-free interval of the (1 - budget) quantile by order statistics (David and Nagaraja,
    "Order Statistics", 2003, section 7.1).

    Args:
        normal: scores of normal images that were held out, ascending.
        budget: in (0, 1).
        confidence: that the quantile lies in the band.
    """
    count, tail = len(normal), (1 - confidence) / 2
    lower = max(int(binom.ppf(tail, count, 1 - budget)), 1)
    upper = int(binom.ppf(1 - tail, count, 1 - budget)) + 1
    return float(normal[lower - 1]), float(normal[min(upper, count) - 1]), upper > count
