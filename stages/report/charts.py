"""Charts as numbers ready for the page's SVG, from the plot data that stages wrote for DVC.

Everything is in pixels of the drawing, y downwards.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stages.core.run.errors import UserError
from stages.core.runtime.calibration import UNIT, Calibration

WIDTH, HEIGHT = 480, 240  # of a drawing, which the page scales to its own width
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 10, 38  # margins for axes
APART = 48  # pixels between marks on the horizontal axis, so that their numbers do not touch
PLOT = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM}


@dataclass(frozen=True)
class Line:
    """A line of a chart; `points` is the value of an SVG polyline's attribute, `number` picks its colour."""

    name: str
    points: str
    number: int


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    position: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A line chart.

    Attributes:
        marker: horizontal position of a vertical line, such as the threshold; None without one.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marker: float | None = None


def unit_chart(title: str, curves: Mapping[str, pd.DataFrame], *, x: str, y: str) -> Chart:
    """Draw curves in the unit square, one line for each table; a table without rows gives none.

    Args:
        x, y: columns with values in [0, 1].
    """
    lines = tuple(
        Line(name, points(curve[x].tolist(), curve[y].tolist(), (0, 1), (0, 1)), number)
        for number, (name, curve) in enumerate(curves.items())
        if len(curve)
    )
    return Chart(
        title,
        x.replace("_", " "),
        y.replace("_", " "),
        lines,
        x_ticks((0, 1), (0, 0.5, 1)),
        y_ticks((0, 1), (0, 0.5, 1)),
    )


def score_chart(bins: pd.DataFrame, calibration: Calibration) -> Chart:
    """Draw the scores of test images on the scale of `Calibration.multiple`, or as they are where it has none.

    Args:
        bins: as for `histogram_chart`.
        calibration: of the method.
    """
    multiples = [calibration.multiple(float(score)) for score in bins["score"]]
    title, known = "Scores of test images", [one for one in multiples if one is not None]
    if len(known) < len(multiples):
        return histogram_chart(title, bins, threshold=calibration.threshold.value)
    return histogram_chart(title, bins.assign(score=known), threshold=1.0, x_label=f"score, {UNIT}")


def histogram_chart(title: str, bins: pd.DataFrame, *, threshold: float, x_label: str = "score") -> Chart:
    """Draw the scores of each kind as steps, as a share of that kind's images, with the threshold as marker.

    Args:
        title: of the chart.
        bins: column score (middles of even bins), and a count column for each kind.
        threshold: on the scale of the scores.
        x_label: of the scores.
    """
    kinds = [name for name in bins.columns if name != "score"]
    shares = {kind: (bins[kind] / bins[kind].sum()).tolist() for kind in kinds}
    middles = bins["score"].tolist()
    half = (middles[1] - middles[0]) / 2
    x_range = min(middles[0] - half, threshold), max(middles[-1] + half, threshold)
    y_range = 0.0, max(max(values) for values in shares.values())
    lines = tuple(
        Line(kind, points(*steps(middles, half, shares[kind]), x_range, y_range), number)
        for number, kind in enumerate(kinds)
    )
    marker = scaled(threshold, x_range, LEFT, WIDTH - RIGHT)
    ends = [one for one in x_range if abs(scaled(one, x_range, LEFT, WIDTH - RIGHT) - marker) >= APART]
    x_values = sorted({threshold, *ends})
    return Chart(
        title, x_label, "share of images", lines, x_ticks(x_range, x_values), y_ticks(y_range, y_range), marker
    )


def training_chart(title: str, curve: pd.DataFrame) -> Chart:
    """Draw loss terms over the iterations of a training on a logarithmic scale; a curve without rows has no line.

    Args:
        curve: columns step, phase (not everywhere), loss and each term; NaN where a term was not there.
    """
    terms = [name for name in curve.columns if name not in ("step", "phase")]
    drawn = {name: curve[["step", name]][curve[name] > 0] for name in terms}
    drawn = {name: rows for name, rows in drawn.items() if len(rows)}
    logs = {name: rows[name].map(math.log10).tolist() for name, rows in drawn.items()}
    values = [value for own in logs.values() for value in own] or [0.0]
    x_range, y_range = (0.0, float(curve["step"].max()) if len(curve) else 1.0), (min(values), max(values))
    lines = tuple(
        Line(name, points(rows["step"].tolist(), logs[name], x_range, y_range), number)
        for number, (name, rows) in enumerate(drawn.items())
    )
    ends = zip(y_ticks(y_range, y_range), y_range, strict=True)
    marks = tuple(Tick(tick.position, number_text(10**value)) for tick, value in ends)
    return Chart(title, "iteration", "loss term (logarithmic)", lines, x_ticks(x_range, x_range), marks)


def steps(middles: Sequence[float], half: float, values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return (x, y) of the outline of bars; it begins and ends at zero."""
    xs = [middle + side for middle in middles for side in (-half, half)]
    ys = [value for value in values for _ in range(2)]
    return [xs[0], *xs, xs[-1]], [0.0, *ys, 0.0]


def points(xs: Sequence[float], ys: Sequence[float], x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    """Return the attribute `points` of a polyline."""
    return " ".join(
        f"{scaled(x, x_range, LEFT, WIDTH - RIGHT):.1f},{scaled(y, y_range, HEIGHT - BOTTOM, TOP):.1f}"
        for x, y in zip(xs, ys, strict=True)
    )


def scaled(value: float, span: tuple[float, float], start: float, end: float) -> float:
    """Return a value of `span` as a position between start and end; the middle when the span is empty."""
    low, high = span
    return start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def x_ticks(span: tuple[float, float], values: Sequence[float]) -> tuple[Tick, ...]:
    """Return marks on the horizontal axis."""
    return tuple(Tick(round(scaled(value, span, LEFT, WIDTH - RIGHT), 1), number_text(value)) for value in values)


def y_ticks(span: tuple[float, float], values: Sequence[float]) -> tuple[Tick, ...]:
    """Return marks on the vertical axis."""
    return tuple(Tick(round(scaled(value, span, HEIGHT - BOTTOM, TOP), 1), number_text(value)) for value in values)


def number_text(value: float) -> str:
    """Write three significant digits, without an exponent where that stays short."""
    return f"{value:.3g}" if value == 0 or -3 <= math.log10(abs(value)) < 5 else f"{value:.1e}"


def read_csv(path: Path) -> pd.DataFrame:
    """Read plot data.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable plot data ({error}): run `dvc repro`") from None


def by_method(table: pd.DataFrame, methods: Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
    """Take a table with the column `method` apart.

    Args:
        methods: their order, also of those without rows; without it the order of the table.
    """
    names = list(dict.fromkeys(table["method"])) if methods is None else methods
    return {name: table[table["method"] == name].drop(columns="method") for name in names}


def training_charts(metrics: Path, category: str) -> tuple[Chart, ...]:
    """Draw a chart for each file of `metrics`/plots/training/<category> that has rows, by name.

    Raises:
        UserError: a file is damaged.
    """
    files = sorted((metrics / "plots" / "training" / category).glob("*.csv"))
    charts = (training_chart(f"Training of {file.stem}", read_csv(file)) for file in files)
    return tuple(chart for chart in charts if chart.lines)
