"""Compare the evaluations of two revisions: `oddpart compare HEAD~1 workspace`.

Files tracked by git are enough.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from commands.compare.differences import compare
from commands.compare.revisions import read_revision
from commands.compare.rows import MetricRow, as_json
from stages.core.run.atomic import replacing_file
from stages.core.run.console import printable
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

HEADINGS = ("category", "method", "kind", "metric", "old", "new", "difference", "interval", "verdict")
NOTE = (
    "In %. The interval is that of the difference (95 % unless asked otherwise); gain and drop are significant, and of "
    "20 comparisons without any real change about one comes out significant by chance."
)


def compare_revisions(
    old: str, new: str, *, form: str, output: Path | None, tolerance: float, confidence: float, metrics: str
) -> str:
    """Write the comparison of two revisions and return its counts.

    Args:
        old: commit, branch, tag or experiment, or `workspace`.
        new: the same, to compare with it.
        form: a key of FORMATS.
        output: file for the result; None prints it.
        tolerance: percentage points up to which a difference is noise.
        confidence: of the intervals.
        metrics: folder that evaluations write to.

    Raises:
        UserError: a number is out of range, or a revision cannot be read.
    """
    if not 0 < confidence < 1:
        raise UserError(f"--confidence {confidence} is not between 0 and 1")
    if not tolerance >= 0:
        raise UserError(f"--tolerance {tolerance} is negative")
    before, after = (read_revision(revision, metrics.strip("/")) for revision in (old, new))
    rows = compare(before, after, confidence=confidence, tolerance=tolerance / 100)
    write(FORMATS[form](old, new, rows), output)
    counts = Counter(row.verdict for row in rows)
    verdicts = ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"
    return f"{counted(len(rows), 'metric')} compared: {verdicts}"


def write(text: str, path: Path | None) -> None:
    """Write to a file, or to standard output."""
    if path is None:
        sys.stdout.write(text)
        return
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def as_markdown(old: str, new: str, rows: Sequence[MetricRow]) -> str:
    """Write a table; a bar in a name is escaped."""
    rules = ["---"] * 4 + ["---:"] * 4 + ["---"]
    lines = [f"| {' | '.join(line)} |" for line in (HEADINGS, rules, *map(cells, rows))]
    return "\n".join([f"`{old}` compared with `{new}`", "", *lines, "", NOTE, ""])


def as_text(old: str, new: str, rows: Sequence[MetricRow]) -> str:
    """Write a table for a terminal."""
    table = Table(title=f"{old} compared with {new}", caption=NOTE, caption_justify="left", box=SIMPLE_HEAD)
    for number, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if 4 <= number <= 7 else "left", no_wrap=number > 1)
    for row in rows:
        table.add_row(*(escape(printable(text)) for text in cells(row)))
    file = StringIO()
    Console(file=file, width=120).print(table)
    return file.getvalue()


def cells(row: MetricRow) -> list[str]:
    """Return a row's texts."""
    interval = "–" if row.low is None or row.high is None else f"{100 * row.low:+.1f} to {100 * row.high:+.1f}"
    difference = "–" if row.difference is None else f"{100 * row.difference:+.1f}"
    values = ["–" if value is None else f"{100 * value:.1f}" for value in (row.old, row.new)]
    names = [name.replace("|", "\\|") for name in (row.category, row.method, row.kind, row.metric)]
    return [*names, *values, difference, interval, row.verdict]


FORMATS: dict[str, Callable[[str, str, Sequence[MetricRow]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "json": as_json,
}
