"""Lay all evaluations side by side: one self-contained HTML page, and the overview in Markdown."""

from collections.abc import Sequence

from stages.core.io.component_names import check_names
from stages.core.run.atomic import replacing_file
from stages.core.run.methods import load_methods
from stages.core.run.params import load_value
from stages.core.run.stage import parse_paths, stage_entry
from stages.report.content import Sources, build_content
from stages.report.page import find_problems, render, write_page
from stages.report.rows import image_counts, missing_pairs, read_costs, read_health, read_rows
from stages.report.run_cost import compare_costs, read_reference
from stages.report.table import markdown_table


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["evaluations", "metrics"], writes=["page", "table"], about=__doc__)
    methods = load_methods()
    names = check_names(load_value("components"), methods.categories)
    costs = read_costs(paths.metrics / "cost")
    rows = read_rows(paths.metrics, methods, costs)
    sources = Sources(paths.metrics, paths.evaluations, methods, names)
    problems = find_problems(rows, sources)
    content = build_content([row for row in rows if row.category not in problems], sources)
    health = read_health(paths.metrics, categories=[name for name in methods.categories if name not in problems])
    run = compare_costs(costs, read_reference(), profile=load_value("profile"), images=image_counts(health))
    missing = missing_pairs(rows, methods)
    write_page(paths.page, render(rows, content, health=health, missing=missing, problems=problems, run=run))
    with replacing_file(paths.table) as temporary:
        temporary.write_text(markdown_table(rows), encoding="utf-8")
    return f"{len(rows)} evaluations of {len(content.sections)} categories reported"


if __name__ == "__main__":
    main()
