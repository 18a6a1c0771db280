"""What a threshold does on test images, with exact intervals."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from stages.evaluation.naming import Name
from stages.evaluation.ranking import GROUPS, anomalies
from stages.evaluation.resampling import Interval
from stages.evaluation.undefined import Measured, Undefined

NO_ANOMALY, NO_NORMAL = "no anomalous test image", "no normal test image"


def decision_metrics(test: pd.DataFrame, threshold: float) -> dict[Name, Measured]:
    """F1, precision, recall, the realised false-alarm rate and each group's detection rate at a threshold."""
    called = test["score"] > threshold
    anomalous = test["is_anomalous"]
    hits, alarms = int((called & anomalous).sum()), int((called & ~anomalous).sum())
    positives = int(anomalous.sum())
    rates = {name: rate(*counts, reason=why) for name, (counts, why) in rate_counts(test, threshold).items()}
    f1 = rate(2 * hits, hits + alarms + positives, reason=NO_ANOMALY) if positives else Undefined(NO_ANOMALY)
    return {
        ("f1",): f1,
        ("precision",): rate(hits, hits + alarms, reason="no test image lies above the threshold"),
        ("recall",): rate(hits, positives, reason=NO_ANOMALY),
        **rates,
    }


def decision_intervals(test: pd.DataFrame, threshold: float, *, confidence: float) -> dict[Name, Interval]:
    """Clopper-Pearson intervals of the false-alarm rate and the detection rates that are defined."""
    counts = {name: pair for name, (pair, _) in rate_counts(test, threshold).items()}
    return {name: clopper_pearson(*pair, confidence=confidence) for name, pair in counts.items() if pair[1]}


def rate_counts(test: pd.DataFrame, threshold: float) -> dict[Name, tuple[tuple[int, int], str]]:
    """(called anomalous, all) of the normal images and of each group of anomalies, and why should there be none."""
    normal = (test[~test["is_anomalous"]]["score"] > threshold).to_numpy()
    groups = {group: (anomalies(test, group)["score"] > threshold).to_numpy() for group in GROUPS}
    return {
        ("false_alarm_rate",): ((int(normal.sum()), len(normal)), NO_NORMAL),
        **{
            ("detection_rate", group): (
                (int(called.sum()), len(called)),
                NO_ANOMALY if group == "all" else f"no {group} test image",
            )
            for group, called in groups.items()
        },
    }


def clopper_pearson(part: int, whole: int, *, confidence: float) -> Interval:
    """Exact interval of a rate: it covers the true one at least as often as `confidence` says.

    Clopper and Pearson, Biometrika 26, 1934.

    Args:
        whole: at least 1.
    """
    found = binomtest(part, whole).proportion_ci(confidence, method="exact")
    return Interval(float(found.low), float(found.high))


def accuracy(correct: "pd.Series[bool]", *, reason: str) -> Measured:
    """Share of correct verdicts, or the reason why there is none to judge."""
    return rate(int(np.count_nonzero(correct)), len(correct), reason=reason)


def rate(part: int, whole: int, *, reason: str) -> Measured:
    """part / whole, or the reason why there is no whole."""
    return part / whole if whole else Undefined(reason)
