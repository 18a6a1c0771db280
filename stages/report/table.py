"""The overview as Markdown, and what stands below it here, on the page and in the terminal.

A second table is for methods that learn from a few images and are repeated with others. Published numbers are image
AUROC in percent, always with the data they were measured on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.report.rows import COLUMNS, Row, unmeasured_lines

NOTE = "all but seconds in percent; seconds: the method's own stages; –: undefined or not measured"
GROUPS = ("logical", "structural", "all")
REPETITION_HEADINGS = ("category", "method", "repetitions", *GROUPS)
REPETITION_NOTE = (
    "image AUROC over repetitions with other images to learn from: mean ± standard deviation in percent; every other "
    "number here is of the first repetition alone"
)
LOCO = "MVTec LOCO AD, mean of 5 categories"
REFERENCE_NOTE = (
    "Other products and, for both systems, checkpoints chosen on test images: a bar to know, not one that the rows "
    "above can be compared with."
)


@dataclass(frozen=True)
class Reference:
    """A published result; None where the source states no such number."""

    system: str
    data: str
    logical: float | None
    structural: float | None
    mean: float
    source: str


REFERENCES = (
    Reference("CSAD", LOCO, None, None, 95.3, "paper, BMVC 2024"),
    Reference("CSAD", LOCO, None, None, 94.64, "run again for the AeCSAD thesis, 2025"),
    Reference("AeCSAD", LOCO, 97.56, 92.54, 95.05, "AeCSAD thesis, 2025, table 5.1"),
)


def markdown_table(rows: Sequence[Row]) -> str:
    """Write the overview as Markdown, and means over repetitions where a method has some."""
    headings = ["category", "method", *(" ".join(column.heading) for column in COLUMNS)]
    cells = [[row.category, row.method, *(column.text(row) for column in COLUMNS)] for row in rows]
    text = markdown(headings, cells, note=NOTE)
    if unmeasured := unmeasured_lines(rows):
        text += "\n" + "".join(f"- {line}\n" for line in unmeasured)
    lines = repetition_lines(rows)
    return f"{text}\n{markdown(REPETITION_HEADINGS, lines, note=REPETITION_NOTE)}" if lines else text


def markdown(headings: Sequence[str], cells: Sequence[Sequence[str]], *, note: str) -> str:
    """Write a table of two names and numbers; a bar in a name is escaped."""
    rules = ["---", "---", *["---:"] * (len(headings) - 2)]
    escaped = [[text.replace("|", "\\|") for text in line] for line in cells]
    lines = [f"| {' | '.join(line)} |" for line in (headings, rules, *escaped)]
    return "\n".join([*lines, "", f"{note}.", ""])


def repetition_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return a line of REPETITION_HEADINGS for each row whose method has repetitions."""
    repeated = [(row, row.metrics["repetitions"]) for row in rows if "repetitions" in row.metrics]
    return [
        (row.category, row.method, str(found["count"]), *(mean_and_deviation(found, group) for group in GROUPS))
        for row, found in repeated
    ]


def mean_and_deviation(found: Mapping[str, Any], group: str) -> str:
    """Return for example "93.1 ± 0.4"; a single repetition has no deviation, a dash stands for what is undefined."""
    mean, deviation = found["image_auroc_mean"][group], found["image_auroc_deviation"][group]
    if mean is None:
        return "–"
    return f"{100 * mean:.1f}" if deviation is None else f"{100 * mean:.1f} ± {100 * deviation:.1f}"
