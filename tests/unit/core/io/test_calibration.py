"""Scores as multiples of the way from a typical normal image to the threshold."""

from stages.core.runtime.calibration import Calibration, Threshold
from tests.table import violations


def calibration(median: float, threshold: float) -> Calibration:
    return Calibration(Threshold(threshold, 0.05, 0.05, 20, 19), median, low=0.0, high=1.0)


def test_scores_in_words() -> None:
    def check(median: float, threshold: float, score: float, expected: str) -> None:
        assert calibration(median, threshold).in_words(score) == expected

    rows = [
        (1.0, 2.0, 2.8, "1.8 x threshold distance"),
        (-3.0, -1.0, 1.0, "2.0 x threshold distance"),  # below 0, where score / threshold is -1
        (-1.0, 0.0, 0.5, "1.5 x threshold distance"),  # at 0, where it is not defined
        (1.0, 2.0, 0.5, "-0.5 x threshold distance"),
        (1.0, 2.0, 1.0, "0.0 x threshold distance"),
        (1.0, 2.0, 1.0 - 1e-6, "0.0 x threshold distance"),
        (1.0, 2.0, 2.0, "1.0 x threshold distance"),
        (1.0, 2.0, 2.02, "1.02 x threshold distance"),
        (1.0, 2.0, 1.996, "0.996 x threshold distance"),
        (1.0, 2.0, 1133.0, "more than 100 x threshold distance"),
        (2.0, 2.0, 2.5, "above the threshold"),
        (2.0, 2.0, 2.0, "not above the threshold"),
    ]
    assert violations(check, rows) == []


def test_a_multiple_above_one_is_called_anomalous_and_no_other() -> None:
    one = calibration(-0.25, 1.5)
    for score in (-9.0, -0.25, 1.25, 1.5, 1.625, 40.0):
        multiple = one.multiple(score)
        assert multiple is not None
        assert (multiple > 1) == one.calls(score)
    assert one.multiple(5.0) == 3.0
