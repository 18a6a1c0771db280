"""Methods that learn from a few images, drawn several times: what they reach on average and how much that varies."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from stages.report.rows import Row

GROUPS = ("logical", "structural", "all")
HEADINGS = ("category", "method", "draws", *GROUPS)
NOTE = (
    "image AUROC over the draws of the images learned from: mean ± standard deviation in percent; above, and in every "
    "other number, the first draw stands alone"
)


def draw_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A line of HEADINGS for each row whose method has draws."""
    return [
        (row.category, row.method, str(row.metrics["draws"]["count"]), *(cell(row.metrics["draws"], g) for g in GROUPS))
        for row in rows
        if "draws" in row.metrics
    ]


def cell(draws: Mapping[str, Any], group: str) -> str:
    """For example "93.1 ± 0.4"; a single draw has no deviation, and a dash stands for what is undefined."""
    mean, deviation = draws["image_auroc_mean"][group], draws["image_auroc_deviation"][group]
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" if deviation is None else f"{100 * mean:.1f} ± {100 * deviation:.1f}"


def terminal_draws(lines: Sequence[Sequence[str]]) -> Table:
    """The lines for the terminal."""
    table = Table(caption=NOTE, caption_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:2] else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table
