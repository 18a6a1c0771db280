"""The metrics file: small, and in the same order each time, so that commits can be compared."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.running.atomic import replacing_file
from stages.evaluation.calibration import Fitted
from stages.evaluation.decisions import decision_intervals, decision_metrics
from stages.evaluation.draws import draw_metrics
from stages.evaluation.naming import Name, nested
from stages.evaluation.pixel_metrics import PixelMetrics, images_without_mask
from stages.evaluation.ranking import GROUPS, anomalies, ranking_intervals, ranking_metrics
from stages.evaluation.resampling import Interval, Resampling
from stages.evaluation.thresholds import F1Threshold
from stages.evaluation.uncertainty import uncertainty_metrics
from stages.evaluation.undefined import Undefined, rounded, tidy

NUMBERS = re.compile(r"\[\s+([-\d.e+]+),\s+([-\d.e+]+)\s+\]")  # a pair goes on one line


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
