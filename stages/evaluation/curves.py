"""Data of the plots that DVC draws: small CSV files."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from stages.core.artifacts.truth import KINDS
from stages.core.running.atomic import replacing_file

POINTS = 201  # of a curve; more would only make the commits larger
BINS = 24


def write_curves(
    test: pd.DataFrame, *, threshold: float, roc: Path, precision_recall: Path, score_histogram: Path, confusion: Path
) -> None:
    """Write the four tables as CSV with 6 significant digits; without both classes a curve has only its header."""
    tables = {
        roc: roc_points(test),
        precision_recall: precision_recall_points(test),
        score_histogram: score_bins(test),
        confusion: decisions(test, threshold),
    }
    for path, table in tables.items():
        with replacing_file(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")


def roc_points(test: pd.DataFrame) -> pd.DataFrame:
    """Columns false_positive_rate and true_positive_rate, both rising."""
    if test["is_anomalous"].nunique() < 2:
        return pd.DataFrame({"false_positive_rate": [], "true_positive_rate": []})
    false_positive, true_positive, _ = roc_curve(test["is_anomalous"], test["score"])
    return thinned(pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}))


def precision_recall_points(test: pd.DataFrame) -> pd.DataFrame:
    """Columns recall and precision, recall rising."""
    if test["is_anomalous"].nunique() < 2:
        return pd.DataFrame({"recall": [], "precision": []})
    precision, recall, _ = precision_recall_curve(test["is_anomalous"], test["score"])
    return thinned(pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}))


def thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """At most POINTS rows at even distances, the first and the last among them."""
    if len(curve) <= POINTS:
        return curve
    return curve.iloc[np.linspace(0, len(curve) - 1, POINTS).round().astype(int)]


def score_bins(test: pd.DataFrame) -> pd.DataFrame:
    """Columns score (middle of a bin), kind and images: a row for each bin and each kind among the test images."""
    scores = test["score"].to_numpy(dtype=np.float64)
    half = 0.5 if scores.min() == scores.max() else 0.0  # all equal: one bin in the middle holds them
    edges = np.linspace(scores.min() - half, scores.max() + half, BINS + 1)
    counts = {
        kind: np.histogram(scores[(test["kind"] == kind).to_numpy()], bins=edges)[0]
        for kind in KINDS
        if (test["kind"] == kind).any()
    }
    middles = (edges[:-1] + edges[1:]) / 2
    return pd.concat(
        pd.DataFrame({"score": middles, "kind": kind, "images": number}) for kind, number in counts.items()
    )


def decisions(test: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Columns actual and predicted ("normal" or "anomalous"), one row an image."""
    names = {False: "normal", True: "anomalous"}
    called = test["score"] > threshold
    return pd.DataFrame({"actual": test["is_anomalous"].map(names), "predicted": called.map(names)})
