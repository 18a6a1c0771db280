"""Thresholds from normal validation images, and what they do on test images."""

import logging
import math

import numpy as np
import pandas as pd
from jaxtyping import Float

from stages.core.artifacts.calibration import Threshold
from stages.evaluation.ranking import GROUPS, anomalies
from stages.evaluation.undefined import Measured, Undefined

LOG = logging.getLogger(__name__)


def conformal_threshold(normal: Float[np.ndarray, " n"], *, budget: float) -> Threshold:
    """Split-conformal threshold: an unseen normal score exceeds it with probability at most the budget.

        t = s_(k),  k = ceil((n + 1)(1 - budget)),    P(S > t) <= 1 - k / (n + 1)

    Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005; holds when validation and unseen normal
    images are exchangeable. When k > n no score is high enough: the largest one is taken, its rate 1 / (n + 1) is
    stated and a warning says so.

    Args:
        normal: finite scores of normal validation images, at least one.
        budget: in (0, 1).
    """
    count = len(normal)
    needed = math.ceil(1 / budget - 1e-9) - 1
    rank = count + 1 - math.floor((count + 1) * budget + 1e-9)  # 1e-9: 20 * 0.05 may come out below 1
    if rank > count:
        LOG.warning(
            "%d normal validation images cannot keep false alarms at %.3g (that takes %d): the largest score is the "
            "threshold, which allows %.3g",
            count, budget, needed, 1 / (count + 1),
        )  # fmt: skip
        rank = count
    value = float(np.sort(normal)[rank - 1])
    return Threshold(value, budget, 1 - rank / (count + 1), count, needed)


def decision_metrics(test: pd.DataFrame, threshold: float) -> dict[str, Measured | dict[str, Measured]]:
    """F1, precision, recall, the realised false-alarm rate and each group's detection rate at a threshold."""
    called = test["score"] > threshold
    anomalous = test["is_anomalous"]
    hits, alarms = int((called & anomalous).sum()), int((called & ~anomalous).sum())
    positives, negatives = int(anomalous.sum()), int((~anomalous).sum())
    no_anomaly, no_normal = "no anomalous test image", "no normal test image"
    detected = {group: (anomalies(test, group)["score"] > threshold).to_numpy() for group in GROUPS}
    return {
        "f1": ratio(2 * hits, hits + alarms + positives, no_anomaly) if positives else Undefined(no_anomaly),
        "precision": ratio(hits, hits + alarms, "no test image lies above the threshold"),
        "recall": ratio(hits, positives, no_anomaly),
        "false_alarm_rate": ratio(alarms, negatives, no_normal),
        "detection_rate": {
            group: ratio(int(above.sum()), len(above), no_anomaly if group == "all" else f"no {group} test image")
            for group, above in detected.items()
        },
    }


def ratio(part: int, whole: int, reason: str) -> Measured:
    """part / whole, or the reason why there is no whole."""
    return part / whole if whole else Undefined(reason)
