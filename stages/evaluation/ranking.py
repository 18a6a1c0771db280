"""How well scores rank anomalous images above normal ones."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from stages.evaluation.undefined import Measured, Undefined

GROUPS = ("all", "logical", "structural")  # "all" holds the anomalies of unspecified kind too


def anomalies(test: pd.DataFrame, group: str) -> pd.DataFrame:
    """The anomalous rows of a group (GROUPS)."""
    anomalous = test[test["is_anomalous"]]
    return anomalous if group == "all" else anomalous[anomalous["kind"] == group]


def by_group(test: pd.DataFrame, column: str) -> dict[str, Measured]:
    """AUROC of a score column, each group of anomalies against all normal test images."""
    normal = test[~test["is_anomalous"]][column].to_numpy(dtype=np.float64)
    return {
        group: auroc(normal, anomalies(test, group)[column].to_numpy(dtype=np.float64), name=group) for group in GROUPS
    }


def by_defect_type(test: pd.DataFrame) -> dict[str, Measured]:
    """AUROC of the score for each defect type, sorted by name, against all normal test images."""
    normal = test[~test["is_anomalous"]]["score"].to_numpy(dtype=np.float64)
    groups = test[test["is_anomalous"]].groupby("defect_type", sort=True)
    return {str(name): auroc(normal, rows["score"].to_numpy(dtype=np.float64)) for name, rows in groups}


def auroc(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str = "all") -> Measured:
    """Area under the ROC curve = P(anomalous > normal) + P(equal) / 2."""
    if missing := missing_class(normal, anomalous, name=name):
        return missing
    return float(roc_auc_score(*stacked(normal, anomalous)))


def average_precision(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str) -> Measured:
    """Sum over the thresholds of precision times the step in recall; depends on the share of anomalies."""
    if missing := missing_class(normal, anomalous, name=name):
        return missing
    return float(average_precision_score(*stacked(normal, anomalous)))


def oracle_f1_max(normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]) -> Measured:
    """The highest F1 of any threshold, chosen with the test labels: a bound, never a result."""
    if missing := missing_class(normal, anomalous, name="all"):
        return missing
    precision, recall, _ = precision_recall_curve(*stacked(normal, anomalous))
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)))


def stacked(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " n+m"], Float[np.ndarray, " n+m"]]:
    """(labels, scores) as scikit-learn wants them; label 1 is anomalous."""
    labels = np.concatenate([np.zeros(len(normal)), np.ones(len(anomalous))])
    return labels, np.concatenate([normal, anomalous])


def missing_class(
    normal: Float[np.ndarray, " n"], anomalous: Float[np.ndarray, " m"], *, name: str
) -> Undefined | None:
    """Why the two classes cannot be ranked, if so."""
    if np.isnan(normal).any() or np.isnan(anomalous).any():
        return Undefined("the method dropped this branch")
    if not len(anomalous):
        return Undefined("no anomalous test image" if name == "all" else f"no {name} anomaly among the test images")
    return None if len(normal) else Undefined("no normal test image")
