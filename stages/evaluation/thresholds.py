"""Thresholds from validation images: from normal ones alone, and by F1 where labelled anomalies are set aside."""

import logging
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn.metrics import precision_recall_curve

from stages.core.artifacts.calibration import Threshold
from stages.evaluation.ranking import stacked
from stages.evaluation.undefined import Undefined

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


def conformal_threshold(normal: Float[np.ndarray, " n"], *, budget: float, warn: bool = True) -> Threshold:
    """Split-conformal threshold: an unseen normal score exceeds it with probability at most the budget.

        t = s_(k),  k = ceil((n + 1)(1 - budget)),    P(S > t) <= 1 - k / (n + 1)

    Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005; holds when validation and unseen normal
    images are exchangeable. When k > n no score is high enough: the largest one is taken, its rate 1 / (n + 1) is
    stated and a warning says so.

    Args:
        normal: scores of normal validation images.
        budget: in (0, 1).

    Raises:
        ValueError: there is no score, or one is not finite.
    """
    count = len(normal)
    if not count or not np.isfinite(normal).all():
        raise ValueError(f"a threshold needs finite scores of normal images, got {normal}")
    needed = math.ceil(1 / budget - 1e-9) - 1
    rank = count + 1 - math.floor((count + 1) * budget + 1e-9)  # 1e-9: 20 * 0.05 may come out below 1
    if rank > count and warn:
        LOG.warning(
            "%d normal validation images cannot keep false alarms at %.3g (that takes %d): the largest score is the "
            "threshold, which allows %.3g",
            count, budget, needed, 1 / (count + 1),
        )  # fmt: skip
    rank = min(rank, count)
    value = float(np.sort(normal)[rank - 1])
    return Threshold(value, budget, 1 - rank / (count + 1), count, needed)


def f1_threshold(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]) -> F1Threshold | Undefined:
    """The threshold with the highest F1 on validation images; of equal ones the largest.

    It lies half-way between the lowest score above it and the next one below, so that it does not depend on which of
    two equal verdicts a score exactly on it gets.

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
