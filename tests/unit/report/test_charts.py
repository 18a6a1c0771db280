"""Charts of the report by hand: every point in pixels."""

import pandas as pd

from stages.report.charts import histogram_chart, training_chart, unit_chart


def test_a_unit_chart_maps_corners_to_corners() -> None:
    curve = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    chart = unit_chart("t", {"a": curve, "b": curve[:0]}, x="x", y="y")
    assert [line.points for line in chart.lines] == ["44.0,176.0 290.0,10.0"]


def test_a_training_chart_by_hand() -> None:
    """Three decades from 0.1 to 100 on 166 pixels; a term that is 0 has no logarithm and is excluded there."""
    curve = pd.DataFrame({"step": [5, 10], "phase": ["a", "b"], "loss": [100.0, 10.0], "dice": [0.0, 0.1]})
    chart = training_chart("t", curve)
    assert [(line.name, line.points) for line in chart.lines] == [
        ("loss", "167.0,10.0 290.0,65.3"), ("dice", "290.0,176.0")
    ]  # fmt: skip
    assert [tick.text for tick in chart.y_ticks] == ["0.1", "100"]
    assert [tick.text for tick in chart.x_ticks] == ["0", "10"]
    assert training_chart("t", curve[:0]).lines == ()


def test_a_histogram_shows_shares_and_a_threshold_outside_of_the_scores() -> None:
    bins = pd.DataFrame({"score": [1.0, 2.0], "normal": [3, 1], "logical": [0, 10]})
    chart = histogram_chart("t", bins, threshold=4.5)
    assert chart.marker == 290.0
    assert [tick.text for tick in chart.y_ticks] == ["0", "1"]
    assert chart.lines[0].points.split()[1] == "44.0,51.5"  # 3 of 4 normal images: 176 - 0.75 * 166
