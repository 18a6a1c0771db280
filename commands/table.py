"""Print the overview of all categories and methods in the terminal: `oddpart table`."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stages.core.run.errors import UserError
from stages.core.run.methods import load_methods
from stages.core.run.params import check_category_names
from stages.core.runtime.calibration import counted
from stages.report.rows import COLUMNS, Row, read_costs, read_rows, unmeasured_lines
from stages.report.table import NOTE, REPETITION_HEADINGS, REPETITION_NOTE, repetition_lines

NAMES = 2  # first columns: category and method


def show_table(metrics: Path) -> str:
    """Print the results below a folder of metrics, and return the closing counts."""
    if not metrics.exists():
        raise UserError(f"{metrics} (--metrics) does not exist: run `dvc repro` to make it")
    methods = load_methods()
    check_category_names(methods.categories)
    rows = read_rows(metrics, methods, read_costs(metrics / "cost"))
    console = Console()
    console.print(terminal_table(rows))
    for line in unmeasured_lines(rows):
        console.print(line, markup=False)
    if lines := repetition_lines(rows):
        console.print(terminal_repetitions(lines))
    return counted(len(rows), "row")


def terminal_table(rows: Sequence[Row]) -> Table:
    """Lay out the overview; a rule separates the categories."""
    table = Table(caption=NOTE, caption_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("category", overflow="fold", vertical="bottom")
    table.add_column("method", overflow="fold", vertical="bottom")
    for column in COLUMNS:
        table.add_column("\n".join(column.heading), justify="right", vertical="bottom")
    for position, row in enumerate(rows):
        last = position + 1 == len(rows) or rows[position + 1].category != row.category
        table.add_row(row.category, row.method, *(column.text(row) for column in COLUMNS), end_section=last)
    return table


def terminal_repetitions(lines: Sequence[Sequence[str]]) -> Table:
    """Lay out the means over repetitions."""
    table = Table(caption=REPETITION_NOTE, caption_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for number, heading in enumerate(REPETITION_HEADINGS):
        table.add_column(heading, justify="left" if number < NAMES else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table
