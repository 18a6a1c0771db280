"""Charts of the report by hand: every point in pixels."""

import pandas as pd

from stages.core.runtime.calibration import Calibration, Threshold
from stages.report.charts import histogram_chart, score_chart, training_chart, unit_chart
from tests.table import violations


def test_a_unit_chart_maps_corners_to_corners() -> None:
    curve = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    chart = unit_chart("t", {"a": curve, "b": curve[:0]}, x="x", y="y")
    assert [line.points for line in chart.lines] == ["56.0,202.0 464.0,10.0"]


def test_a_training_chart_by_hand() -> None:
    """Three decades from 0.1 to 100 on 192 pixels; a term that is 0 has no logarithm and is excluded there."""
    curve = pd.DataFrame({"step": [5, 10], "phase": ["a", "b"], "loss": [100.0, 10.0], "dice": [0.0, 0.1]})
    chart = training_chart("t", curve)
    assert [(line.name, line.points) for line in chart.lines] == [
        ("loss", "260.0,10.0 464.0,74.0"), ("dice", "464.0,202.0")
    ]  # fmt: skip
    assert [tick.text for tick in chart.y_ticks] == ["0.1", "100"]
    assert [tick.text for tick in chart.x_ticks] == ["0", "10"]
    assert training_chart("t", curve[:0]).lines == ()


def test_a_histogram_shows_shares_and_a_threshold_outside_of_the_scores() -> None:
    bins = pd.DataFrame({"score": [1.0, 2.0], "normal": [3, 1], "logical": [0, 10]})
    chart = histogram_chart("t", bins, threshold=4.5)
    assert chart.marker == 464.0
    assert [tick.text for tick in chart.x_ticks] == ["0.5", "4.5"]
    assert [tick.text for tick in histogram_chart("t", bins, threshold=0.6).x_ticks] == ["0.6", "2.5"]  # not over 0.5
    assert [tick.text for tick in chart.y_ticks] == ["0", "1"]
    assert chart.lines[0].points.split()[1] == "56.0,58.0"  # 3 of 4 normal images: 202 - 0.75 * 192


def test_scores_are_drawn_as_multiples_where_there_are_some() -> None:
    def check(median: float, ticks: list[str], label: str) -> None:
        bins = pd.DataFrame({"score": [1.0, 3.0], "normal": [3, 1]})
        calibration = Calibration(Threshold(2.0, 0.05, 0.05, 20, 19), median, 0.0, 1.0)
        chart = score_chart(bins, calibration)
        assert [tick.text for tick in chart.x_ticks] == ticks
        assert chart.x_label == label
        assert chart.marker == 260.0  # in the middle

    rows = [
        (0.0, ["0", "1", "2"], "score, x threshold distance"),  # of bins from 0 to 4
        (-2.0, ["0.5", "1", "1.5"], "score, x threshold distance"),
        (2.0, ["0", "2", "4"], "score"),  # the median is the threshold
    ]
    assert violations(check, rows) == []
