"""Scales of scores: the trimmed z of normal held-out images, and what a z says as evidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

    Scores = Float64[np.ndarray, "*B N"]

TRIM = (0.2, 0.8)
TRIMMED_STD = 0.46324256854243706  # of the middle of a standard normal variable, between its quantiles TRIM
ROUNDING = 1e-12  # of the mean: less is the spread of equal scores, whose mean may differ in its last digit


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
    std = np.where(std > ROUNDING * np.abs(mean), std, 1.0)
    return TrimmedZ(mean.item(), std.item()) if validation.ndim == 1 else TrimmedZ(mean, std)


def evidence(scores: Scores) -> Scores:
    """Return -log p of a trimmed z, p the share of normal images that would score as high; 0.7 for the typical one.

    An anomaly that one branch sees clearly is not outvoted by branches that see nothing, as in a plain sum: the term
    grows with the square of a high score and is close to 0 for every low one. Normal images are taken as normally
    distributed; the trimmed z is in units of the spread of their middle, which is `TRIMMED_STD` of the whole spread.

    R. A. Fisher, Statistical Methods for Research Workers (4th ed. 1932), 21.1; with weights: I. J. Good, On the
    Weighted Combination of Significance Tests (JRSS B, 1955).
    """
    return np.asarray(-log_survival(TRIMMED_STD * scores))


# W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23, 1969: numerator
# and denominator of erf(x) / x in x² up to NEAR, of erfc(x) exp(x²) in x up to FAR, and beyond it of what that lacks of
# its limit 1 / (x sqrt(pi)), in 1 / x². The highest power comes first.
NEAR, FAR = 0.46875, 4.0
ERF = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
TAIL = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip


def log_survival(z: Scores) -> Scores:
    """Return log P(Z > z) of a standard normal variable, exact far into the tail, where P itself is no number any more.

    log P = log(erfc(x) / 2),  x = z / sqrt(2);    above NEAR it is -x² + log(erfc(x) exp(x²) / 2)
    """
    x = np.asarray(z, dtype=np.float64) / math.sqrt(2.0)
    distance = np.abs(x)
    scaled = _scaled_erfc(np.maximum(distance, NEAR))
    with np.errstate(under="ignore"):
        below = np.log1p(-0.5 * scaled * np.exp(-(np.maximum(distance, NEAR) ** 2)))
    central = np.log1p(-_near_erf(np.clip(x, -NEAR, NEAR))) - math.log(2.0)
    outside = np.where(x > 0, np.log(scaled / 2.0) - distance**2, below)
    return np.asarray(np.where(distance <= NEAR, central, outside))


def _near_erf(x: Scores) -> Scores:
    over, under = (np.polyval(coefficients, x * x) for coefficients in ERF)
    return np.asarray(x * over / under)


def _scaled_erfc(x: Scores) -> Scores:
    """Return erfc(x) exp(x²) for x of at least NEAR."""
    middle, far = np.minimum(x, FAR), np.maximum(x, FAR)
    over, under = (np.polyval(coefficients, middle) for coefficients in MIDDLE)
    inverse = 1.0 / far**2
    lacks, of = (np.polyval(coefficients, inverse) for coefficients in TAIL)
    beyond = (1.0 / math.sqrt(math.pi) - inverse * lacks / of) / far
    return np.asarray(np.where(x <= FAR, over / under, beyond))
