"""Image metrics and thresholds: values worked out by hand and by scikit-learn."""

import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from stages.core.io.thresholds import conformal_threshold
from stages.core.runtime.calibration import Calibration, Threshold
from stages.evaluation.image_metrics import (
    auroc,
    average_precision,
    decision_metrics,
    false_positive_rate,
    oracle_f1_max,
    ranking_metrics,
    repetition_metrics,
)
from stages.evaluation.names import Undefined, as_json, nested
from stages.evaluation.outputs import decisions, precision_recall_points, roc_points, score_bins
from stages.evaluation.thresholds import warn_of_few_normals


def make_test(*rows: tuple[float, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["score", "kind"])
    return table.assign(is_anomalous=table["kind"] != "normal", defect_type=table["kind"].str[:3])


# Normal 1, 2, 3; logical 2, 4; structural 0, 5.
CASE = make_test(
    (1, "normal"), (2, "normal"), (3, "normal"), (2, "logical"), (4, "logical"), (0, "structural"), (5, "structural")
)


def test_auroc_of_each_kind_is_against_all_normals() -> None:
    # logical: 2 beats 1 and ties 2 (1.5 of 3), 4 beats all (3 of 3); structural: 0 of 3 and 3 of 3.
    measured = nested(ranking_metrics(CASE, []))
    assert measured["image_auroc"] == pytest.approx({"all": 7.5 / 12, "logical": 4.5 / 6, "structural": 0.5})
    assert measured["defect_type_auroc"] == pytest.approx({"log": 0.75, "str": 0.5})


def test_repetitions_by_hand() -> None:
    """Three values 0.7, 0.8, 0.9: deviation 0.1. `repetition_own` and `drawn` are other branches."""
    values = {"repetition_0": 0.7, "drawn": 0.1, "repetition_1": 0.8, "repetition_2": 0.9, "repetition_own": 0.1}
    ranking = {
        ("branches", name, group): Undefined("none") if group == "logical" else value
        for name, value in values.items()
        for group in ("all", "logical", "structural")
    }
    found = nested(repetition_metrics(ranking, list(values)))["repetitions"]
    assert found["count"] == 3
    assert found["image_auroc_mean"] == {
        "all": pytest.approx(0.8), "logical": Undefined("none"), "structural": pytest.approx(0.8)
    }  # fmt: skip
    assert found["image_auroc_deviation"]["all"] == pytest.approx(0.1)
    assert found["image_auroc_deviation"]["logical"] == Undefined("none")
    alone = repetition_metrics(ranking, ["repetition_0"])
    assert alone["repetitions", "image_auroc_mean", "all"] == 0.7
    assert alone["repetitions", "image_auroc_deviation", "all"] == Undefined("a single repetition has no spread")
    assert repetition_metrics(ranking, ["drawn", "repetition_own"]) == {}


def test_equal_to_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    normal, anomalous = generator.normal(size=40).round(1), generator.normal(0.7, size=25).round(1)
    labels, scores = [0] * 40 + [1] * 25, [*normal, *anomalous]
    assert auroc(normal, anomalous) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = average_precision_score(labels, scores)
    assert average_precision(normal, anomalous, name="all") == pytest.approx(expected, abs=1e-12)
    best = max(f1_score(labels, scores >= value) for value in np.unique(scores))
    assert oracle_f1_max(normal, anomalous) == pytest.approx(best, abs=1e-12)


def test_false_positives_at_95_percent_recall() -> None:
    anomalous = np.arange(1.0, 21.0)  # 19 of 20 lie at or above 2
    assert false_positive_rate(np.array([0.0, 1.5, 2.0, 3.0]), anomalous) == 0.5
    assert false_positive_rate(np.array([0.0, 1.0]), anomalous) == 0.0
    assert false_positive_rate(np.zeros(0), anomalous) == Undefined("no normal test image")


def test_one_class_gives_a_reason_and_not_a_number() -> None:
    some, none = np.array([1.0, 2.0]), np.array([])
    assert auroc(some, none, name="logical") == Undefined("no logical anomaly among the test images")
    assert auroc(none, some) == Undefined("no normal test image")
    assert average_precision(some, none, name="all") == Undefined("no anomalous test image")
    assert oracle_f1_max(none, none) == Undefined("no anomalous test image")


def test_a_dropped_branch_has_a_reason() -> None:
    table = CASE.assign(branch=np.nan)
    assert ranking_metrics(table, ["branch"])[("branches", "branch", "all")] == Undefined(
        "the method dropped this branch"
    )


def test_equal_scores_rank_as_chance() -> None:
    assert auroc(np.ones(5), np.ones(3)) == 0.5


@pytest.mark.parametrize(("count", "rank", "rate"), [(40, 39, 2 / 41), (39, 38, 2 / 40), (19, 19, 1 / 20)])
def test_conformal_threshold_is_an_order_statistic(count: int, rank: int, rate: float) -> None:
    threshold = conformal_threshold(np.arange(count, 0, -1.0), budget=0.05)
    assert threshold == Threshold(float(rank), 0.05, pytest.approx(rate), count, 19)


def test_too_few_normals_widen_the_budget_and_warn(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        threshold = conformal_threshold(np.array([3.0]), budget=0.05)
        warn_of_few_normals(threshold)
    assert threshold == Threshold(3.0, 0.05, 0.5, 1, 19)
    message = "1 normal validation image cannot keep false alarms at 0.05 (that takes 19)"
    assert caplog.text.count(message) == 1
    warn_of_few_normals(conformal_threshold(np.arange(19.0), budget=0.05))
    assert caplog.text.count(message) == 1


def test_decisions_by_hand() -> None:
    measured = nested(decision_metrics(CASE, 2.0))  # above: 3 | 4 | 5
    assert measured == {
        "f1": pytest.approx(2 * 2 / (2 * 2 + 1 + 2)),
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "false_alarm_rate": pytest.approx(1 / 3),
        "detection_rate": {"all": 0.5, "logical": 0.5, "structural": 0.5},
    }


def test_equal_scores_raise_no_alarm() -> None:
    table = make_test((1, "normal"), (1, "logical"))
    threshold = conformal_threshold(np.ones(30), budget=0.05)
    measured = nested(decision_metrics(table, threshold.value))
    assert (measured["f1"], measured["recall"], measured["false_alarm_rate"]) == (0.0, 0.0, 0.0)
    assert measured["precision"] == Undefined("no test image lies above the threshold")


def test_decisions_on_one_class() -> None:
    normal = nested(decision_metrics(make_test((1, "normal")), 0.0))
    assert (normal["f1"], normal["false_alarm_rate"]) == (Undefined("no anomalous test image"), 1.0)
    anomalous = nested(decision_metrics(make_test((1, "unspecified")), 0.0))
    assert (anomalous["f1"], anomalous["false_alarm_rate"]) == (1.0, Undefined("no normal test image"))


def test_undefined_numbers_are_null_with_a_reason() -> None:
    written = as_json({"a": {"b": Undefined("no b"), "c": 0.123456789}, "n": 3})
    assert written == {"a": {"b": None, "c": 0.123457}, "n": 3, "reasons": {"a.b": "no b"}}
    assert "reasons" not in as_json({"a": 1.0})
    with pytest.raises(ValueError, match=r"the metric a\.b is nan"):
        as_json({"a": {"b": float("nan")}})


def test_display_score() -> None:
    calibration = Calibration(Threshold(3.0, 0.05, 0.05, 40, 19), median=1.0, low=0.0, high=1.0)
    assert calibration.display(3.0) == 0.5
    assert calibration.display(1.0) == pytest.approx(0.1)
    assert calibration.display(5.0) == pytest.approx(0.9)
    assert (calibration.display(-1e9), calibration.display(1e9)) == (pytest.approx(0.0), 1.0)
    flat = Calibration(Threshold(1.0, 0.05, 0.05, 40, 19), median=1.0, low=0.0, high=1.0)
    assert [flat.display(score) for score in (0.9, 1.0, 1.1)] == [0.0, 0.5, 1.0]
    assert (flat.calls(1.0), flat.calls(1.1)) == (False, True)


def test_curves() -> None:
    roc = roc_points(CASE)
    area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
    assert area == pytest.approx(7.5 / 12)
    recall = precision_recall_points(CASE)["recall"]
    assert (recall.iloc[0], recall.iloc[-1]) == (0.0, 1.0)
    assert recall.is_monotonic_increasing


def test_long_curves_are_thinned() -> None:
    generator = np.random.default_rng(0)
    rows = [(value, "normal" if generator.random() < 0.5 else "logical") for value in generator.normal(size=3000)]
    roc = roc_points(make_test(*rows))
    assert len(roc) == 201
    assert (roc.iloc[0].tolist(), roc.iloc[-1].tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_curves_of_one_class_have_no_rows() -> None:
    assert roc_points(CASE[:3]).empty
    assert precision_recall_points(CASE[3:]).empty


def test_histogram_counts_every_image_once() -> None:
    bins = score_bins(CASE)
    assert bins.groupby("kind")["images"].sum().to_dict() == {"normal": 3, "logical": 2, "structural": 2}
    assert bins["score"].nunique() == len(bins) / 3
    assert score_bins(CASE.assign(score=1.0))["images"].sum() == 7


def test_confusion() -> None:
    table = decisions(CASE, 2.0)
    assert pd.crosstab(table["actual"], table["predicted"]).loc["normal"].to_dict() == {"anomalous": 1, "normal": 2}
