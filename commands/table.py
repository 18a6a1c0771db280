"""Print the overview of all categories and methods in the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from stages.core.run.params import check_category_names, load_value, validate
from stages.core.run.stage import command_entry, parse_paths
from stages.report.costs import read_costs
from stages.report.params import ReportParams
from stages.report.repetitions import HEADINGS, draw_lines, terminal_draws
from stages.report.repetitions import NOTE as DRAWS_NOTE
from stages.report.rows import COLUMNS, Row, evaluated_pairs, read_rows

NOTE = "all but seconds in percent; seconds: the method's own stages; –: undefined or not measured"


def terminal_table(rows: Sequence[Row]) -> Table:
    """A table for rich; a rule parts the categories."""
    table = Table(caption=NOTE, caption_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("category", overflow="fold", vertical="bottom")
    table.add_column("method", overflow="fold", vertical="bottom")
    for column in COLUMNS:
        table.add_column("\n".join(column.heading), justify="right", vertical="bottom")
    for position, row in enumerate(rows):
        last = position + 1 == len(rows) or rows[position + 1].category != row.category
        table.add_row(row.category, row.method, *(column.text(row) for column in COLUMNS), end_section=last)
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """The same as Markdown, and means over draws where a method has some."""
    headings = ["category", "method", *(" ".join(column.heading) for column in COLUMNS)]
    cells = [[row.category, row.method, *(column.text(row) for column in COLUMNS)] for row in rows]
    text = markdown(headings, cells, note=NOTE)
    draws = draw_lines(rows)
    return f"{text}\n{markdown(HEADINGS, draws, note=DRAWS_NOTE)}" if draws else text


def markdown(headings: Sequence[str], cells: Sequence[Sequence[str]], *, note: str) -> str:
    """A table of two names and numbers; a bar in a name is escaped."""
    rules = ["---", "---", *["---:"] * (len(headings) - 2)]
    escaped = [[text.replace("|", "\\|") for text in line] for line in cells]
    lines = [f"| {' | '.join(line)} |" for line in (headings, rules, *escaped)]
    return "\n".join([*lines, "", f"{note}.", ""])


@command_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["metrics"], about=__doc__)
    params = validate(ReportParams, load_value("report"), where="report")
    categories = list(load_value("categories"))
    check_category_names(categories)
    methods = list(params.stages_of_method)
    pairs = evaluated_pairs(categories, methods, off_by_default=params.off_by_default)
    costs = read_costs(paths.metrics / "cost.json")
    rows = read_rows(paths.metrics, pairs=pairs, costs=costs, stages_of_method=params.stages_of_method)
    console = Console()
    console.print(terminal_table(rows))
    if draws := draw_lines(rows):
        console.print(terminal_draws(draws))
    return f"{len(rows)} rows"


if __name__ == "__main__":
    main()
