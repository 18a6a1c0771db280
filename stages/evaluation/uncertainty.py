"""How sure a verdict is: p-values, a band of scores that cannot be told, and branches that disagree."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import binom

from stages.evaluation.decisions import accuracy
from stages.evaluation.naming import Name
from stages.evaluation.thresholds import conformal_threshold
from stages.evaluation.undefined import Measured, Undefined


@dataclass(frozen=True)
class Reference:
    """One column's scores of normal validation images, sorted, and the threshold they give at the budget."""

    normal: Float[np.ndarray, " n"]
    threshold: float

    def p_value(self, score: float) -> float:
        """Conformal p-value: the share of normal images, this one counted in, with at least this score.

        p = (1 + |{i : s_i >= s}|) / (n + 1),    P(p <= a) <= a for an unseen normal image
        """
        at_least = len(self.normal) - int(np.searchsorted(self.normal, score, side="left"))
        return (1 + at_least) / (len(self.normal) + 1)

    def excess(self, score: float) -> float:
        """How far the score lies above the threshold, in distances from the median to the threshold."""
        spread = self.threshold - float(np.median(self.normal))
        return (score - self.threshold) / spread if spread > 0 else math.copysign(math.inf, score - self.threshold)


@dataclass(frozen=True)
class Uncertainty:
    """All from normal validation images.

    Attributes:
        score: reference of the score.
        branches: of each branch that the method did not drop.
        low, high: the score is unsure when low < score <= high: the threshold is itself an estimate, and with other
            normal images it may have come out anywhere between.
        open_above: whether there are too few images to say from where on a score is sure; then `high` is the largest.
    """

    score: Reference
    branches: Mapping[str, Reference]
    low: float
    high: float
    open_above: bool

    def unsure(self, score: float) -> bool:
        """Whether the verdict might be another one with other normal validation images."""
        return self.low < score <= self.high

    def disagree(self, values: Mapping[str, float]) -> bool:
        """Whether some branches lie above their own threshold and others do not."""
        return len({values[name] > reference.threshold for name, reference in self.branches.items()}) > 1

    def decided_by(self, values: Mapping[str, float]) -> str | None:
        """The branch that lies farthest above its own threshold, or is nearest to it; None without branches."""
        return next(iter(self.by_excess(values)), None)

    def by_excess(self, values: Mapping[str, float]) -> list[str]:
        """The branches, the one farthest above its own threshold first."""
        excess = {name: reference.excess(values[name]) for name, reference in self.branches.items()}
        return sorted(excess, key=lambda name: excess[name], reverse=True)


def fit_uncertainty(joined: pd.DataFrame, branches: Sequence[str], *, budget: float, confidence: float) -> Uncertainty:
    """Fit on the rows of split `validation`, which are normal images.

    The band is the distribution-free interval of the (1 - budget) quantile by order statistics (David and Nagaraja,
    "Order Statistics", 2003, section 7.1).

    Args:
        confidence: that the quantile lies in the band.
    """
    rows = joined[joined["split"] == "validation"]
    normal = {name: np.sort(rows[name].to_numpy(dtype=np.float64)) for name in ("score", *branches)}
    kept = {name: values for name, values in normal.items() if not np.isnan(values).any()}
    references = {
        name: Reference(values, conformal_threshold(values, budget=budget, warn=False).value)
        for name, values in kept.items()
    }
    score, count = references.pop("score"), len(rows)
    tail = (1 - confidence) / 2
    lower = max(int(binom.ppf(tail, count, 1 - budget)), 1)
    upper = int(binom.ppf(1 - tail, count, 1 - budget)) + 1
    low, high = score.normal[lower - 1], score.normal[min(upper, count) - 1]
    return Uncertainty(score, references, float(low), float(high), upper > count)


def uncertainty_metrics(test: pd.DataFrame, uncertainty: Uncertainty, threshold: float) -> dict[Name, Measured | bool]:
    """The band, how many test images lie in it, and how often the others are judged rightly."""
    correct = (test["score"] > threshold) == test["is_anomalous"]
    unsure = test["score"].map(uncertainty.unsure).astype(bool)
    values: dict[Name, Measured | bool] = {
        ("unsure_above",): uncertainty.low,
        ("unsure_up_to",): uncertainty.high,
        ("open_above",): uncertainty.open_above,
        ("unsure_share",): float(unsure.mean()),
        ("accuracy",): accuracy(correct, reason="no test image"),
        ("accuracy_when_sure",): accuracy(correct[~unsure], reason="no test image lies outside of the unsure band"),
        ("accuracy_when_unsure",): accuracy(correct[unsure], reason="no test image lies in the unsure band"),
    }
    if len(uncertainty.branches) < 2:
        alone = Undefined("the method has fewer than two branches in use")
        names = ("disagreement_share", "accuracy_when_agreeing", "accuracy_when_disagreeing")
        return {**values, **{(name,): alone for name in names}}
    above = [test[name] > reference.threshold for name, reference in uncertainty.branches.items()]
    disagree = np.any(above, axis=0) & ~np.all(above, axis=0)
    return {
        **values,
        ("disagreement_share",): float(disagree.mean()),
        ("accuracy_when_agreeing",): accuracy(correct[~disagree], reason="the branches disagree on every test image"),
        ("accuracy_when_disagreeing",): accuracy(correct[disagree], reason="the branches agree on every test image"),
    }
