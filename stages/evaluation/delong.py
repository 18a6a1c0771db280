"""Variance of AUROCs, and of the difference of two on the same images."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata


@dataclass(frozen=True)
class Difference:
    """Second AUROC minus first, and its standard error."""

    value: float
    standard_error: float


def delong_variance(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]) -> float:
    """Variance of the AUROC; NaN when a class has fewer than two images."""
    return float(delong_covariance(normal[None], anomalous[None])[0, 0])


def delong_difference(normal: Float[np.ndarray, "2 n"], anomalous: Float[np.ndarray, "2 m"]) -> Difference:
    """Compare two correlated AUROCs.

    Args:
        normal, anomalous: scores of the same images in the same order, first and second method.
    """
    aurocs = [placements(normal[k], anomalous[k])[0].mean() for k in range(2)]
    covariance = delong_covariance(normal, anomalous)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return Difference(float(aurocs[1] - aurocs[0]), float(np.sqrt(max(variance, 0.0))))


def delong_covariance(
    normal: Float[np.ndarray, "k n"], anomalous: Float[np.ndarray, "k m"]
) -> Float[np.ndarray, "k k"]:
    """Covariance of k AUROCs on the same images.

        S = S10 / m + S01 / n,    S10, S01: covariances of the placements of anomalous and of normal images

    DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988; placements by ranks as in Sun and Xu, IEEE Signal Processing
    Letters 21, 2014.
    """
    if normal.shape[1] < 2 or anomalous.shape[1] < 2:
        return np.full((len(normal), len(normal)), np.nan)
    found = [placements(one, other) for one, other in zip(normal, anomalous, strict=True)]
    above, below = np.stack([one for one, _ in found]), np.stack([other for _, other in found])
    upper, lower = np.atleast_2d(np.cov(above)), np.atleast_2d(np.cov(below))
    return np.asarray(upper / anomalous.shape[1] + lower / normal.shape[1], dtype=np.float64)


def placements(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """For each anomalous image the share of normal ones below, for each normal one the share of anomalous ones above.

    Equal scores count one half; the mean of either is the AUROC.
    """
    ranks = rankdata(np.concatenate([normal, anomalous]))
    above = (ranks[len(normal) :] - rankdata(anomalous)) / len(normal)
    below = 1 - (ranks[: len(normal)] - rankdata(normal)) / len(anomalous)
    return above, below
