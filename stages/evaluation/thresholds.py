"""What decides: thresholds, and how sure a verdict is. All of it comes from validation images, never from test images.

Where validation rotates, training images that were held out in their turn count as well (`stages.core.io.rotation`).
The threshold comes from normal images alone; a second one by F1 where labelled anomalies were set aside. A verdict gets
a p-value, is unsure inside a band around the threshold, and may rest on branches that disagree.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.metrics import precision_recall_curve

from stages.core.io.rotation import ROTATED, calibrates
from stages.core.io.thresholds import conformal_threshold, unsure_band
from stages.core.runtime.calibration import BranchScale, Calibration, Threshold, by_excess, conformal_p_value
from stages.evaluation.image_metrics import accuracy, stacked
from stages.evaluation.inputs import ASIDE, Maps, colour_range
from stages.evaluation.names import Measured, Name, Undefined

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class F1Threshold:
    """An image is anomalous when its score is above `value`.

    Attributes:
        f1: on the validation images it was chosen on.
        normals, anomalies: numbers of these images.
    """

    value: float
    f1: float
    normals: int
    anomalies: int


def warn_of_few_normals(threshold: Threshold) -> None:
    """Log that there are too few held-out normal images for the budget, if so."""
    if threshold.normals < threshold.normals_needed:
        LOG.warning(
            "%s cannot keep false alarms at %.3g (that takes %d): the largest score is the "
            "threshold, which allows %.3g",
            threshold.source, threshold.false_alarm_budget, threshold.normals_needed,
            threshold.attainable_false_alarm_rate,
        )  # fmt: skip


def f1_threshold(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]) -> F1Threshold | Undefined:
    """Return the threshold with the highest F1 on validation images; of equal ones the largest.

    It lies half-way between the lowest score above it and the next one below, so that it does not depend on which of
    two equally good verdicts a score exactly on it gets.

    Args:
        normal, anomalous: finite scores; anomalies that the split rule set aside in validation.
    """
    if not len(anomalous):
        return Undefined("no labelled anomaly in validation")
    if not len(normal):
        return Undefined("no normal validation image")
    labels, scores = stacked(normal, anomalous)
    levels = np.unique(scores)
    if len(levels) == 1:
        return Undefined("all validation scores are equal")
    precision, recall, candidates = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    best = len(candidates) - 1 - int(np.argmax(f1[-2::-1]))  # the last entry of f1 belongs to no score
    at = int(np.searchsorted(levels, candidates[best]))
    value = (levels[at] + levels[at - 1]) / 2 if at else np.nextafter(levels[0], -np.inf)
    return F1Threshold(float(value), float(f1[best]), len(normal), len(anomalous))


@dataclass(frozen=True)
class Reference:
    """One column's scores of the normal images that calibrate, sorted, and the threshold they give at the budget.

    Attributes:
        weight: of the branch in the score.
    """

    normal: Float[np.ndarray, " n"]
    threshold: float
    weight: float = 1.0

    def p_value(self, score: float) -> float:
        """Return the conformal p-value: the share of normal images, this one included, with at least this score.

        p = (1 + |{i : s_i >= s}|) / (n + 1),    P(p <= a) <= a for an unseen normal image
        """
        return conformal_p_value(self.normal.tolist(), score)

    @property
    def scale(self) -> BranchScale:
        """What of it is needed to compare the branch with others."""
        return BranchScale(self.threshold, float(np.median(self.normal)), self.weight)


@dataclass(frozen=True)
class Uncertainty:
    """All from the normal images that calibrate.

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
        """Return whether the verdict might be another one with other normal validation images."""
        return self.low < score <= self.high

    def disagree(self, values: Mapping[str, float]) -> bool:
        """Return whether some branches lie above their own threshold and others do not."""
        return len({values[name] > reference.threshold for name, reference in self.branches.items()}) > 1

    def decided_by(self, values: Mapping[str, float]) -> str | None:
        """Return the first branch of `by_excess`; None without branches."""
        return next(iter(self.by_excess(values)), None)

    def by_excess(self, values: Mapping[str, float]) -> list[str]:
        """See `stages.core.runtime.calibration.by_excess`."""
        return by_excess(self.scales, values)

    @property
    def scales(self) -> dict[str, BranchScale]:
        """Of each branch."""
        return {name: reference.scale for name, reference in self.branches.items()}


def fit_uncertainty(
    joined: pd.DataFrame,
    branches: Sequence[str],
    *,
    budget: float,
    confidence: float,
    weights: Mapping[str, float] | None = None,
) -> Uncertainty:
    """Fit on the rows that calibrate, which are normal images.

    Args:
        confidence: that the quantile lies in the band.
        weights: of branches in the score; 1 of those that are not named.
    """
    rows = joined[calibrates(joined["split"])]
    normal = {name: np.sort(rows[name].to_numpy(dtype=np.float64)) for name in ("score", *branches)}
    kept = {name: values for name, values in normal.items() if not np.isnan(values).any()}
    references = {
        name: Reference(values, conformal_threshold(values, budget=budget).value, (weights or {}).get(name, 1.0))
        for name, values in kept.items()
    }
    score = references.pop("score")
    return Uncertainty(score, references, *unsure_band(score.normal, budget=budget, confidence=confidence))


def uncertainty_metrics(test: pd.DataFrame, uncertainty: Uncertainty, threshold: float) -> dict[Name, Measured | bool]:
    """Describe the band, how many test images lie in it, and how often those inside and outside are judged rightly."""
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


@dataclass(frozen=True)
class Fitted:
    """What was fitted on validation images.

    Attributes:
        calibration: the threshold that decides, from normal images alone, and scales for display.
        f1_threshold: a second one, where labelled anomalies were set aside in validation.
        uncertainty: how sure a verdict is.
    """

    calibration: Calibration
    f1_threshold: F1Threshold | Undefined
    uncertainty: Uncertainty


def fit(
    joined: pd.DataFrame,
    maps: Maps,
    branches: Sequence[str],
    *,
    budget: float,
    unsure_confidence: float,
    weights: Mapping[str, float] | None = None,
) -> Fitted:
    """Fit on the rows that calibrate, which are normal; colours and the F1 threshold on validation and ASIDE.

    Args:
        weights: see `fit_uncertainty`.
    """
    scores = {split: rows["score"].to_numpy(dtype=np.float64) for split, rows in joined.groupby("split")}
    anomalous, rotated = (scores.get(split, np.zeros(0)) for split in (ASIDE, ROTATED))
    normal = joined["score"][calibrates(joined["split"])].to_numpy(dtype=np.float64)
    low, high = colour_range(joined, maps, budget=budget)
    threshold = replace(conformal_threshold(normal, budget=budget), rotated=len(rotated))
    return Fitted(
        Calibration(threshold, float(np.median(normal)), low, high),
        f1_threshold(scores["validation"], anomalous),
        fit_uncertainty(joined, branches, budget=budget, confidence=unsure_confidence, weights=weights),
    )
