"""All metrics of a method on a product, in the order of the metrics file, and the intervals of those that have one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from stages.evaluation.image_metrics import (
    GROUPS,
    anomalies,
    decision_intervals,
    decision_metrics,
    ranking_intervals,
    ranking_metrics,
    repetition_metrics,
)
from stages.evaluation.intervals import Interval, Resampling
from stages.evaluation.names import Name, Undefined, prefixed
from stages.evaluation.pixel_metrics import PixelMetrics, images_without_mask
from stages.evaluation.thresholds import F1Threshold, Fitted, uncertainty_metrics


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
    """Put all metrics of a method on a product together.

    Args:
        test: the truth, the score and the branches of each test image.
        explained: what `explanation_metrics` measured.
    """
    threshold = fitted.calibration.threshold
    ranking = ranking_metrics(test, branches)
    values: dict[Name, Any] = {
        **prefixed("images", image_counts(test)),
        **ranking,
        **repetition_metrics(ranking, branches),
        **pixel.values,
        **prefixed("threshold", {(name,): value for name, value in threshold.as_json().items()}),
        **prefixed("at_threshold", decision_metrics(test, threshold.value)),
        **f1_metrics(test, fitted.f1_threshold),
        **prefixed("uncertainty", uncertainty_metrics(test, fitted.uncertainty, threshold.value)),
        **prefixed("explanations", explained),
    }
    intervals = {
        **ranking_intervals(test, branches, ranking, resampling),
        **pixel.intervals,
        **prefixed("at_threshold", decision_intervals(test, threshold.value, confidence=resampling.confidence)),
    }
    return Summary(values, intervals)


def f1_metrics(test: pd.DataFrame, threshold: F1Threshold | Undefined) -> dict[Name, Any]:
    """Describe the second threshold, and what it does on test images; only a reason when there is none."""
    if isinstance(threshold, Undefined):
        return {("f1_threshold",): threshold}
    return {
        **prefixed("f1_threshold", fields_of(threshold)),
        **prefixed("at_f1_threshold", decision_metrics(test, threshold.value)),
    }


def image_counts(test: pd.DataFrame) -> dict[Name, int]:
    """Count the test images that the metrics stand on."""
    return {
        ("normal",): int((~test["is_anomalous"]).sum()),
        **{(group,): len(anomalies(test, group)) for group in GROUPS},
        ("anomalous_without_mask",): images_without_mask(test),
    }


def fields_of(record: Any) -> dict[Name, Any]:
    """Return a dataclass as metrics."""
    return {(name,): value for name, value in asdict(record).items()}
