"""Files for people and for git: metrics, intervals, scores of test images, and the data of the plots that DVC draws.

All are small and in the same order each time, so that two commits can be compared. Each holds all methods of a product,
in the order of params.yaml: JSON by method, CSV with the method as first column.
"""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from stages.core.io.truth import KINDS
from stages.core.run.atomic import replacing_file
from stages.core.run.console import harmless_cell
from stages.core.run.errors import UserError
from stages.evaluation.judging import Calibrated
from stages.evaluation.names import as_json, nested, rounded
from stages.evaluation.summary import Summary

NUMBERS = re.compile(r"\[\s+([-\d.e+]+),\s+([-\d.e+]+)\s+\]")  # a pair goes on one line
POINTS = 201  # of a curve; more would only make the commits larger
BINS = 24
METHOD = "method"
COLUMNS = ["image_id", "kind", "score"]  # of test images, sorted by image_id; some 40 bytes each


def write_summaries(summaries: Mapping[str, Summary], *, metrics: Path, intervals: Path) -> None:
    """Write the metrics as indented JSON by method, undefined ones as null and listed under "reasons".

    Intervals get a file of their own, so that `dvc metrics diff` shows metrics only: [low, high] under the same names.
    """
    write_json(metrics, {method: as_json(nested(one.values)) for method, one in summaries.items()})
    write_json(intervals, {method: interval_pairs(one) for method, one in summaries.items()})


def interval_pairs(summary: Summary) -> dict[str, Any]:
    """Return the intervals as nested pairs of rounded numbers."""
    return nested({name: [rounded(one.low), rounded(one.high)] for name, one in summary.intervals.items()})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON with pairs of numbers on one line."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    with replacing_file(path) as temporary:
        temporary.write_text(NUMBERS.sub(r"[\1, \2]", text) + "\n", encoding="utf-8")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file to where git keeps it.

    Raises:
        UserError: it is not there.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise UserError(f"{source}: not readable ({error}): run `dvc repro`") from None
    with replacing_file(target) as temporary:
        temporary.write_bytes(content)


def write_curves(methods: Mapping[str, Calibrated], folder: Path) -> None:
    """Write roc.csv, precision_recall.csv, scores.csv and confusion.csv; without both classes a curve has no rows."""
    folder.mkdir(exist_ok=True)
    tests = tables_of(methods)
    write_csv(folder / "roc.csv", {method: roc_points(test) for method, test in tests.items()})
    write_csv(
        folder / "precision_recall.csv", {method: precision_recall_points(test) for method, test in tests.items()}
    )
    write_csv(folder / "scores.csv", {method: score_bins(test) for method, test in tests.items()})
    thresholds = {method: one.fitted.calibration.threshold.value for method, one in methods.items()}
    write_csv(folder / "confusion.csv", {method: decisions(test, thresholds[method]) for method, test in tests.items()})


def tables_of(methods: Mapping[str, Calibrated]) -> dict[str, pd.DataFrame]:
    """Return each method's table of test images."""
    return {method: one.test for method, one in methods.items()}


def write_csv(path: Path, tables: Mapping[str, pd.DataFrame], *, digits: int = 6) -> None:
    """Write tables with the same columns one below the other, the method first.

    Args:
        digits: significant ones of numbers that are not whole.
    """
    given = [table.assign(**{METHOD: method}) for method, table in tables.items()]
    filled = [table for table in given if len(table)] or given[:1]
    joined = pd.concat(filled)
    with replacing_file(path) as temporary:
        joined[[METHOD, *joined.columns.drop(METHOD)]].to_csv(
            temporary, index=False, lineterminator="\n", float_format=f"%.{digits}g"
        )


def roc_points(test: pd.DataFrame) -> pd.DataFrame:
    """Return columns false_positive_rate and true_positive_rate, both rising."""
    if test["is_anomalous"].nunique() < 2:
        return pd.DataFrame({"false_positive_rate": [], "true_positive_rate": []})
    false_positive, true_positive, _ = roc_curve(test["is_anomalous"], test["score"])
    return thinned(pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}))


def precision_recall_points(test: pd.DataFrame) -> pd.DataFrame:
    """Return columns recall and precision, recall rising."""
    if test["is_anomalous"].nunique() < 2:
        return pd.DataFrame({"recall": [], "precision": []})
    precision, recall, _ = precision_recall_curve(test["is_anomalous"], test["score"])
    return thinned(pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}))


def thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """Keep at most POINTS rows at even distances, the first and the last among them."""
    if len(curve) <= POINTS:
        return curve
    return curve.iloc[np.linspace(0, len(curve) - 1, POINTS).round().astype(int)]


def score_bins(test: pd.DataFrame) -> pd.DataFrame:
    """Return columns score (middle of a bin), kind and images: a row for each bin and each kind of test images."""
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
    """Return columns actual and predicted ("normal" or "anomalous"), one row for each image."""
    names = {False: "normal", True: "anomalous"}
    called = test["score"] > threshold
    return pd.DataFrame({"actual": test["is_anomalous"].map(names), "predicted": called.map(names)})


def write_tracked_scores(path: Path, tests: Mapping[str, pd.DataFrame]) -> None:
    """Write method and COLUMNS of the test images; with 17 significant digits no two scores become equal."""
    tables = {method: test.sort_values("image_id")[COLUMNS] for method, test in tests.items()}
    safe = {method: test.assign(image_id=test["image_id"].map(harmless_cell)) for method, test in tables.items()}
    write_csv(path, safe, digits=17)


def parse_tracked_scores(text: str, *, where: str) -> dict[str, pd.DataFrame]:
    """Read what `write_tracked_scores` wrote: tables by method, indexed by image_id.

    Raises:
        UserError: it is no such table.
    """
    dtypes = {METHOD: str, "image_id": str, "kind": str, "score": float}
    try:
        table: pd.DataFrame = pd.read_csv(io.StringIO(text), dtype=dtypes)
        tables = {str(method): rows[COLUMNS].set_index("image_id") for method, rows in table.groupby(METHOD)}
    except (ValueError, KeyError) as error:
        raise UserError(f"{where}: not a table of scores ({error})") from None
    if any(not one.index.is_unique or not np.isfinite(one["score"]).all() for one in tables.values()):
        raise UserError(f"{where}: an image is there twice or has no finite score")
    return tables
