"""The metrics file: small, and in the same order each time, so that commits can be compared.

Data of the plots that DVC draws: small CSV files.

Scores of the test images in a small file that git keeps, so that two commits can be compared image by image.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from stages.core.io.truth import KINDS
from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.evaluation.image_metrics import (
    GROUPS,
    anomalies,
    decision_intervals,
    decision_metrics,
    draw_metrics,
    ranking_intervals,
    ranking_metrics,
)
from stages.evaluation.intervals import Interval, Resampling
from stages.evaluation.names import Name, Undefined, nested, rounded, tidy
from stages.evaluation.pixel_metrics import PixelMetrics, images_without_mask
from stages.evaluation.thresholds import F1Threshold, Fitted, uncertainty_metrics

NUMBERS = re.compile(r"\[\s+([-\d.e+]+),\s+([-\d.e+]+)\s+\]")  # a pair goes on one line
POINTS = 201  # of a curve; more would only make the commits larger
BINS = 24
COLUMNS = ["image_id", "kind", "score"]  # of test images, sorted by image_id; some 40 bytes each


@dataclass(frozen=True)
class Summary:
    """All metrics by name, and the intervals of those that have one."""

    values: Mapping[Name, Any]
    intervals: Mapping[Name, Interval]


def summarise(
    test: pd.DataFrame,
    *,
    branches: Sequence[str],
    fitted: Fitted,
    pixel: PixelMetrics,
    explained: Mapping[Name, Any],
    resampling: Resampling,
) -> Summary:
    """All metrics of a method on a category, in the order of the file."""
    threshold = fitted.calibration.threshold
    ranking = ranking_metrics(test, branches)
    values: dict[Name, Any] = {
        **{("images", name): count for name, count in image_counts(test).items()},
        **ranking,
        **draw_metrics(ranking, branches),
        **pixel.values,
        **under("threshold", {(name,): value for name, value in asdict(threshold).items()}),
        **under("at_threshold", decision_metrics(test, threshold.value)),
        **f1_metrics(test, fitted.f1_threshold),
        **under("uncertainty", uncertainty_metrics(test, fitted.uncertainty, threshold.value)),
        **under("explanations", explained),
    }
    intervals = {
        **ranking_intervals(test, branches, ranking, resampling),
        **pixel.intervals,
        **under("at_threshold", decision_intervals(test, threshold.value, confidence=resampling.confidence)),
    }
    return Summary(values, intervals)


def f1_metrics(test: pd.DataFrame, threshold: F1Threshold | Undefined) -> dict[Name, Any]:
    """The second threshold, and what it does on test images; only a reason when there is none."""
    if isinstance(threshold, Undefined):
        return {("f1_threshold",): threshold}
    return {
        **under("f1_threshold", {(name,): value for name, value in asdict(threshold).items()}),
        **under("at_f1_threshold", decision_metrics(test, threshold.value)),
    }


def under(outer: str, values: Mapping[Name, Any]) -> dict[Name, Any]:
    """The same values under one more outer name."""
    return {(outer, *name): value for name, value in values.items()}


def image_counts(test: pd.DataFrame) -> dict[str, int]:
    """Numbers of test images that the metrics stand on."""
    return {
        "normal": int((~test["is_anomalous"]).sum()),
        **{group: len(anomalies(test, group)) for group in GROUPS},
        "anomalous_without_mask": images_without_mask(test),
    }


def write_summary(summary: Summary, *, metrics: Path, intervals: Path) -> None:
    """Write the metrics as indented JSON, undefined ones as null and listed under "reasons".

    Intervals get a file of their own, so that `dvc metrics diff` shows metrics only: [low, high] under the same names.
    """
    pairs = {name: [rounded(one.low), rounded(one.high)] for name, one in summary.intervals.items()}
    for path, content in ((metrics, tidy(nested(summary.values))), (intervals, nested(pairs))):
        text = json.dumps(content, indent=2, ensure_ascii=False)
        with replacing_file(path) as temporary:
            temporary.write_text(NUMBERS.sub(r"[\1, \2]", text) + "\n", encoding="utf-8")


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


def write_tracked_scores(path: Path, test: pd.DataFrame) -> None:
    """Write COLUMNS as CSV; 9 significant digits keep the order of float32 scores."""
    with replacing_file(path) as temporary:
        test.sort_values("image_id")[COLUMNS].to_csv(temporary, index=False, lineterminator="\n", float_format="%.9g")


def parse_tracked_scores(text: str, *, where: str) -> pd.DataFrame:
    """The inverse of `write_tracked_scores`, indexed by image_id.

    Raises:
        UserError: it is no such table.
    """
    try:
        table: pd.DataFrame = pd.read_csv(io.StringIO(text), dtype={"image_id": str, "kind": str, "score": float})
        indexed = table[COLUMNS].set_index("image_id")
    except (ValueError, KeyError) as error:
        raise UserError(f"{where}: not a table of scores ({error})") from None
    if not indexed.index.is_unique or not np.isfinite(indexed["score"]).all():
        raise UserError(f"{where}: an image is there twice or has no finite score")
    return indexed
