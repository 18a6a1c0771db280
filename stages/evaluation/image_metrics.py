"""How well scores rank anomalous images above normal ones, and what a threshold does on test images.

Rankings get bootstrap intervals and rates exact ones. A method that learns from a few images is repeated with other
ones; how much its AUROC varies over these repetitions is measured here as well.
"""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from stages.evaluation.intervals import Interval, Resampling, auroc_interval
from stages.evaluation.names import Measured, Name, Undefined

GROUPS = ("all", "logical", "structural")  # "all" holds the anomalies of unspecified kind too
RECALL = 0.95  # at which the false-positive rate is stated
Pair = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]  # scores of normal and of anomalous images
NO_ANOMALY, NO_NORMAL = "no anomalous test image", "no normal test image"
REPETITION = re.compile(r"repetition_\d+")  # the branch of one repetition, by any method


def anomalies(test: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the anomalous rows of a group (GROUPS)."""
    anomalous = test[test["is_anomalous"]]
    return anomalous if group == "all" else anomalous[anomalous["kind"] == group]


def by_group(test: pd.DataFrame, column: str) -> dict[str, Pair]:
    """Return the scores of all normal test images and of each group."""
    normal = test[~test["is_anomalous"]][column].to_numpy(dtype=np.float64)
    return {group: (normal, anomalies(test, group)[column].to_numpy(dtype=np.float64)) for group in GROUPS}


def by_defect_type(test: pd.DataFrame) -> dict[str, Pair]:
    """Return the scores of all normal test images and of each defect type, sorted by name."""
    normal = test[~test["is_anomalous"]]["score"].to_numpy(dtype=np.float64)
    groups = test[test["is_anomalous"]].groupby("defect_type", sort=True)
    return {str(name): (normal, rows["score"].to_numpy(dtype=np.float64)) for name, rows in groups}


def ranking_metrics(test: pd.DataFrame, branches: Sequence[str]) -> dict[Name, Measured]:
    """Compute AUROC, average precision, FPR at 95 % recall and highest F1, by group and by defect type.

    What is chosen with test labels is called `oracle`.
    """
    groups, types = by_group(test, "score"), by_defect_type(test)
    return {
        **{("image_auroc", group): auroc(*pair, name=group) for group, pair in groups.items()},
        **{("average_precision", group): average_precision(*pair, name=group) for group, pair in groups.items()},
        **{("fpr_at_95_tpr", group): false_positive_rate(*pair, name=group) for group, pair in groups.items()},
        **{("defect_type_auroc", name): auroc(*pair) for name, pair in types.items()},
        **{("defect_type_average_precision", name): average_precision(*pair) for name, pair in types.items()},
        **{("branches", name, group): auroc(*pair, name=group) for name in branches
           for group, pair in by_group(test, name).items()},
        ("oracle_f1_max",): oracle_f1_max(*groups["all"]),
        **{("oracle_f1_max_by_kind", group): oracle_f1_max(*pair, name=group) for group, pair in groups.items()},
        **{("oracle_f1_max_by_defect_type", name): oracle_f1_max(*pair) for name, pair in types.items()},
    }  # fmt: skip


def ranking_intervals(
    test: pd.DataFrame, branches: Sequence[str], values: Mapping[Name, Measured], resampling: Resampling
) -> dict[Name, Interval]:
    """Compute bootstrap intervals of every AUROC in `values` that is defined."""
    pairs: dict[Name, Pair] = {
        **{("image_auroc", group): pair for group, pair in by_group(test, "score").items()},
        **{("defect_type_auroc", name): pair for name, pair in by_defect_type(test).items()},
        **{("branches", name, group): pair for name in branches for group, pair in by_group(test, name).items()},
    }
    return {
        name: auroc_interval(*pair, resampling)
        for name, pair in pairs.items()
        if not isinstance(values[name], Undefined)
    }


def auroc(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str = "all") -> Measured:
    """Return the area under the ROC curve = P(anomalous > normal) + P(equal) / 2."""
    if missing := missing_class(normal, anomalous, name=name):
        return missing
    return float(roc_auc_score(*stacked(normal, anomalous)))


def average_precision(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str = "all"
) -> Measured:
    """Sum precision times the step in recall over the thresholds; it depends on the share of anomalies."""
    if missing := missing_class(normal, anomalous, name=name):
        return missing
    return float(average_precision_score(*stacked(normal, anomalous)))


def false_positive_rate(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str = "all"
) -> Measured:
    """Return the share of normal images at or above the highest threshold that finds RECALL of the anomalies."""
    if missing := missing_class(normal, anomalous, name=name):
        return missing
    false_positive, true_positive, _ = roc_curve(*stacked(normal, anomalous), drop_intermediate=False)
    return float(false_positive[np.argmax(true_positive >= RECALL - 1e-12)])


def oracle_f1_max(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str = "all"
) -> Measured:
    """Return the highest F1 of any threshold, chosen with the test labels: a bound, never a result."""
    if missing := missing_class(normal, anomalous, name=name):
        return missing
    precision, recall, _ = precision_recall_curve(*stacked(normal, anomalous))
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)))


def stacked(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " n+m"], Float[np.ndarray, " n+m"]]:
    """Return (labels, scores) as scikit-learn wants them; label 1 is anomalous."""
    labels = np.concatenate([np.zeros(len(normal)), np.ones(len(anomalous))])
    return labels, np.concatenate([normal, anomalous])


def missing_class(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str
) -> Undefined | None:
    """Return why the two classes cannot be ranked, if so."""
    if np.isnan(normal).any() or np.isnan(anomalous).any():
        return Undefined("the method dropped this branch")
    if not len(anomalous):
        return Undefined("no anomalous test image" if name == "all" else f"no {name} anomaly among the test images")
    return None if len(normal) else Undefined("no normal test image")


def decision_metrics(test: pd.DataFrame, threshold: float) -> dict[Name, Measured]:
    """Compute F1, precision, recall, the realised false-alarm rate and each group's detection rate at a threshold."""
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
    """Compute Clopper-Pearson intervals of the false-alarm rate and the detection rates that are defined."""
    counts = {name: pair for name, (pair, _) in rate_counts(test, threshold).items()}
    return {name: clopper_pearson(*pair, confidence=confidence) for name, pair in counts.items() if pair[1]}


def rate_counts(test: pd.DataFrame, threshold: float) -> dict[Name, tuple[tuple[int, int], str]]:
    """Count (called anomalous, all) of normal images and of each group of anomalies, with the reason if none exist."""
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
    """Return the exact interval of a rate: it covers the true one at least as often as `confidence` says.

    Clopper and Pearson, Biometrika 26, 1934.

    Args:
        whole: at least 1.
    """
    found = binomtest(part, whole).proportion_ci(confidence, method="exact")
    return Interval(float(found.low), float(found.high))


def accuracy(correct: "pd.Series[bool]", *, reason: str) -> Measured:
    """Return the share of correct verdicts, or the reason why there is none to judge."""
    return rate(int(np.count_nonzero(correct)), len(correct), reason=reason)


def rate(part: int, whole: int, *, reason: str) -> Measured:
    """Return part / whole, or the reason why there is no whole."""
    return part / whole if whole else Undefined(reason)


def repetition_metrics(ranking: Mapping[Name, Measured], branches: Sequence[str]) -> dict[Name, Any]:
    """Count the repetitions; compute mean and sample standard deviation (n - 1) of their image AUROCs by group.

    The deviation is that of single repetitions, not of their mean: what another choice of images would give.

    Args:
        ranking: has ("branches", name, group) of every branch.

    Returns:
        Nothing where the method has no repetitions.
    """
    repetitions = [name for name in branches if REPETITION.fullmatch(name)]
    if not repetitions:
        return {}
    values = {group: [ranking["branches", name, group] for name in repetitions] for group in GROUPS}
    return {
        ("repetitions", "count"): len(repetitions),
        **{("repetitions", "image_auroc_mean", group): mean(found) for group, found in values.items()},
        **{("repetitions", "image_auroc_deviation", group): deviation(found) for group, found in values.items()},
    }


def mean(values: Sequence[Measured]) -> Measured:
    """Return the mean; undefined like the first of the values that is."""
    numbers = [value for value in values if not isinstance(value, Undefined)]
    return statistics.mean(numbers) if len(numbers) == len(values) else first_undefined(values)


def deviation(values: Sequence[Measured]) -> Measured:
    """Return the sample's standard deviation; undefined like the first of the values that is, or of one alone."""
    numbers = [value for value in values if not isinstance(value, Undefined)]
    if len(numbers) < len(values):
        return first_undefined(values)
    return statistics.stdev(numbers) if len(numbers) > 1 else Undefined("a single repetition has no spread")


def first_undefined(values: Sequence[Measured]) -> Undefined:
    """Return the first undefined value, whose reason stands for all."""
    return next(value for value in values if isinstance(value, Undefined))
