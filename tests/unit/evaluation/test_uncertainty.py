"""p-values, the unsure band, disagreement, and the second threshold."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score

from stages.core.io.thresholds import conformal_threshold
from stages.evaluation.names import Undefined, nested
from stages.evaluation.thresholds import (
    F1Threshold,
    Reference,
    Uncertainty,
    f1_threshold,
    fit,
    fit_uncertainty,
    uncertainty_metrics,
)


def make_joined(normal: list[float], **branches: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"split": "validation", "score": normal, **branches})


def test_p_values_by_hand() -> None:
    reference = Reference(np.array([1.0, 2.0, 2.0, 5.0]), threshold=5.0)
    assert [reference.p_value(score) for score in (0.0, 2.0, 3.0, 5.0, 6.0)] == [1.0, 0.8, 0.4, 0.4, 0.2]


def test_p_values_of_normal_images_keep_their_word() -> None:
    generator = np.random.default_rng(0)
    hits = [Reference(np.sort(generator.normal(size=39)), 0.0).p_value(generator.normal()) <= 0.1 for _ in range(3000)]
    assert np.mean(hits) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("count", "open_above"), [(40, True), (200, False)])
def test_the_band_holds_the_quantile_as_often_as_it_says(count: int, open_above: bool) -> None:
    scores = [float(n) for n in range(1, count + 1)]
    fitted = fit_uncertainty(make_joined(scores), [], budget=0.05, confidence=0.9)
    assert fitted.open_above == open_above
    # P(s_(l) <= q < s_(u)) = P(l <= number of scores below q < u) for scores without ties
    reached = binom.cdf(fitted.high - 1 if not open_above else count, count, 0.95) - binom.cdf(
        fitted.low - 1, count, 0.95
    )
    assert reached >= 0.9
    assert fitted.low <= conformal_threshold(np.array(scores), budget=0.05).value <= fitted.high
    assert [fitted.unsure(score) for score in (fitted.low, fitted.high, fitted.high + 1)] == [False, True, False]


def test_few_and_equal_normals_have_a_band_too() -> None:
    one = fit_uncertainty(make_joined([3.0]), [], budget=0.05, confidence=0.9)
    assert (one.low, one.high, one.open_above) == (3.0, 3.0, True)
    equal = fit_uncertainty(make_joined([2.0] * 50), [], budget=0.05, confidence=0.9)
    assert not equal.unsure(2.0)
    assert equal.score.p_value(2.0) == 1.0


def test_branches_that_disagree() -> None:
    normal = [float(n) for n in range(20)]
    joined = make_joined(normal, a=normal, b=[10 * n for n in normal], dropped=[np.nan] * 20)
    fitted = fit_uncertainty(joined, ["a", "b", "dropped"], budget=0.1, confidence=0.9)
    assert set(fitted.branches) == {"a", "b"}
    assert not fitted.disagree({"a": 30.0, "b": 300.0, "dropped": np.nan})
    assert fitted.disagree({"a": 30.0, "b": 0.0, "dropped": np.nan})
    assert fitted.decided_by({"a": 30.0, "b": 0.0, "dropped": np.nan}) == "a"
    assert fitted.decided_by({"a": 0.0, "b": 150.0, "dropped": np.nan}) == "b"  # none is above: the nearer one
    assert fitted.by_excess({"a": 0.0, "b": 150.0, "dropped": np.nan}) == ["b", "a"]
    assert Uncertainty(fitted.score, {}, 0.0, 1.0, open_above=False).decided_by({}) is None


def test_a_branch_that_hardly_counts_has_not_decided() -> None:
    normal = [float(n) for n in range(20)]
    joined = make_joined(normal, loud=normal, heavy=normal)
    fitted = fit_uncertainty(joined, ["loud", "heavy"], budget=0.1, confidence=0.9, weights={"loud": 0.1, "heavy": 0.8})
    assert fitted.decided_by({"loud": 60.0, "heavy": 30.0}) == "heavy"
    assert fitted.decided_by({"loud": 60.0, "heavy": 10.0}) == "loud"  # the only one above
    assert fitted.by_excess({"loud": 5.0, "heavy": 4.0}) == ["loud", "heavy"]  # none above: the nearer one
    assert (
        fit_uncertainty(joined, ["loud", "heavy"], budget=0.1, confidence=0.9).decided_by({"loud": 60.0, "heavy": 30.0})
        == "loud"
    )


def test_what_the_report_says_of_sure_images() -> None:
    normal = [float(n) for n in range(1, 201)]
    fitted = fit_uncertainty(make_joined(normal), [], budget=0.05, confidence=0.9)
    middle = (fitted.low + fitted.high) / 2
    test = pd.DataFrame({"score": [1.0, middle, 999.0, 998.0], "is_anomalous": [False, True, True, False]})
    measured = nested(uncertainty_metrics(test, fitted, threshold=fitted.high))
    assert measured["unsure_share"] == 0.25
    assert measured["accuracy"] == 0.5
    assert measured["accuracy_when_sure"] == pytest.approx(2 / 3)
    assert measured["accuracy_when_unsure"] == 0.0
    assert measured["disagreement_share"] == Undefined("the method has fewer than two branches in use")


def test_the_f1_threshold_is_the_best_of_all() -> None:
    generator = np.random.default_rng(0)
    normal, anomalous = generator.normal(size=40).round(1), generator.normal(1, size=25).round(1)
    found = f1_threshold(normal, anomalous)
    assert isinstance(found, F1Threshold)
    labels, scores = [0] * 40 + [1] * 25, np.concatenate([normal, anomalous])
    assert found.f1 == pytest.approx(max(f1_score(labels, scores >= value) for value in np.unique(scores)))
    assert f1_score(labels, scores > found.value) == pytest.approx(found.f1)
    assert (found.normals, found.anomalies) == (40, 25)


def test_of_equal_f1_the_largest_threshold_is_taken() -> None:
    # 4 of 4 hits with 4 alarms give 2/3, and so do 2 hits without an alarm.
    found = f1_threshold(np.array([1.0, 1, 1, 1]), np.array([1.0, 1, 5, 5]))
    assert found == F1Threshold(3.0, pytest.approx(2 / 3), 4, 4)
    assert f1_threshold(np.array([5.0, 6.0]), np.array([1.0, 7.0, 8.0])) == F1Threshold(6.5, pytest.approx(0.8), 2, 3)


def test_calling_everything_anomalous_may_be_best() -> None:
    found = f1_threshold(np.array([9.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert isinstance(found, F1Threshold)
    assert found.value < 1.0


@pytest.mark.parametrize(
    ("normal", "anomalous", "reason"),
    [([1.0, 2.0], [], "no labelled anomaly in validation"), ([], [1.0], "no normal validation image"),
     ([1.0, 1.0], [1.0], "all validation scores are equal")],
)  # fmt: skip
def test_without_two_classes_or_two_scores_there_is_no_f1_threshold(
    normal: list[float], anomalous: list[float], reason: str
) -> None:
    assert f1_threshold(np.array(normal), np.array(anomalous)) == Undefined(reason)


@pytest.mark.parametrize("scores", [[], [1.0, np.nan], [np.inf]])
def test_a_threshold_needs_finite_scores(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="a threshold needs finite scores of normal images"):
        conformal_threshold(np.array(scores), budget=0.05)


def test_training_images_held_out_in_turns_calibrate_with_the_validation_images() -> None:
    """Threshold, p-values and band are of all five; colours and the F1 threshold stay with validation."""
    splits = ["validation", "validation", "rotated", "rotated", "rotated", "validation_anomalous", "test"]
    rows = {"image_id": list("abcdefg"), "split": splits, "score": [1.0, 2.0, 5.0, 3.0, 4.0, 2.5, 9.0]}
    fitted = fit(pd.DataFrame(rows), {}, [], budget=0.2, unsure_confidence=0.9)
    threshold = fitted.calibration.threshold
    assert (threshold.value, threshold.normals, threshold.rotated) == (5.0, 5, 3)  # rank 5 of 5: ceil(6 * 0.8)
    assert threshold.attainable_false_alarm_rate == pytest.approx(1 / 6)
    assert threshold.source == "5 normal images (2 of validation, 3 held out in turns)"
    assert fitted.calibration.median == 3.0
    assert fitted.uncertainty.score.normal.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert isinstance(fitted.f1_threshold, F1Threshold)
    assert (fitted.f1_threshold.value, fitted.f1_threshold.normals) == (2.25, 2)


def test_without_turns_nothing_is_said_of_them() -> None:
    fitted = fit(pd.DataFrame({"split": ["validation"] * 2, "score": [1.0, 2.0]}), {}, [], budget=0.2,
                 unsure_confidence=0.9)  # fmt: skip
    assert "rotated" not in fitted.calibration.threshold.as_json()
    assert fitted.calibration.threshold.source == "2 normal validation images"
