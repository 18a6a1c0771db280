"""Lay all evaluations side by side: one self-contained HTML page, and the overview in Markdown."""

from collections.abc import Sequence

from stages.core.run.atomic import replacing_file
from stages.core.run.methods import load_methods
from stages.core.run.stage import parse_paths, stage_entry
from stages.report.page import build_content, find_problems, render, write_page
from stages.report.rows import missing_pairs, read_costs, read_health, read_rows
from stages.report.table import markdown_table


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["evaluations", "metrics"], writes=["page", "table"], about=__doc__)
    methods = load_methods()
    rows = read_rows(paths.metrics, methods, read_costs(paths.metrics / "cost"))
    problems = find_problems(rows, methods.categories, metrics=paths.metrics, evaluations=paths.evaluations)
    shown = [row for row in rows if row.category not in problems]
    content = build_content(shown, metrics=paths.metrics, evaluations=paths.evaluations)
    health = read_health(paths.metrics, categories=[name for name in methods.categories if name not in problems])
    missing = missing_pairs(rows, methods)
    write_page(paths.page, render(rows, content, health=health, missing=missing, problems=problems))
    with replacing_file(paths.table) as temporary:
        temporary.write_text(markdown_table(rows), encoding="utf-8")
    return f"{len(rows)} evaluations of {len(content.sections)} categories reported"


if __name__ == "__main__":
    main()
