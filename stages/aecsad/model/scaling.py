"""Scales of scores: the trimmed z of normal validation images, and what a z says as evidence."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.stats import norm, truncnorm

TRIM = (0.2, 0.8)
TRIMMED_STD = float(truncnorm(*norm.ppf(TRIM)).std())  # of the middle of a standard normal variable: 0.46
Scores = Float64[np.ndarray, "*B N"]


@dataclass(frozen=True)
class TrimmedZ:
    """z = (s - mean) / std with statistics of normal validation scores; arrays (*B, 1) for B sets of scores at once."""

    mean: float | Float64[np.ndarray, "*B 1"]
    std: float | Float64[np.ndarray, "*B 1"]

    def __call__(self, scores: Scores) -> Scores:
        """Scale the scores."""
        return (scores - self.mean) / self.std


def fit_trimmed_z(validation: Scores) -> TrimmedZ:
    """Fit on the scores strictly between the 20 % and the 80 % quantile.

    AeCSAD thesis 4.17; population standard deviation as in CSAD's code, 1 where there is no spread. Where nothing
    lies between the quantiles that code gives NaN; here the untrimmed statistics are taken.

    Args:
        validation: of normal images only, N >= 1; several sets of them, one a row, are fitted each by itself.

    Raises:
        ValueError: no score, or a score that is not finite.
    """
    if not validation.size or not np.isfinite(validation).all():
        raise ValueError(f"validation scores must be finite and at least one, got {validation}")
    low, high = np.quantile(validation, TRIM, axis=-1, keepdims=True)
    kept = (validation > low) & (validation < high)
    kept |= ~kept.any(axis=-1, keepdims=True)
    mean, std = (measure(validation, axis=-1, keepdims=True, where=kept) for measure in (np.mean, np.std))
    std = np.where(std > 0, std, 1.0)
    return TrimmedZ(mean.item(), std.item()) if validation.ndim == 1 else TrimmedZ(mean, std)


def evidence(scores: Scores) -> Scores:
    """Return -log p of a trimmed z, p the share of normal images that would score as high; 0.7 for the typical one.

    An anomaly that one branch sees clearly is not outvoted by branches that see nothing, as in a plain sum: the term
    grows with the square of a high score and is close to 0 for every low one. Normal images are taken as normally
    distributed; the trimmed z is in units of the spread of their middle, which is `TRIMMED_STD` of the whole spread.

    R. A. Fisher, Statistical Methods for Research Workers (4th ed. 1932), 21.1; with weights: I. J. Good, On the
    Weighted Combination of Significance Tests (JRSS B, 1955).
    """
    return np.asarray(-norm.logsf(TRIMMED_STD * scores))
