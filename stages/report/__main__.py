"""Lay all evaluations side by side: one self-contained HTML page, the overview in Markdown, what each stage cost."""

from collections.abc import Sequence

from commands.table import markdown_table
from stages.core.run.atomic import replacing_file
from stages.core.run.params import load_value, validate
from stages.core.run.stage import parse_paths, stage_entry
from stages.report.costs import collect_costs, write_costs
from stages.report.page import build_content, write_page
from stages.report.params import ReportParams
from stages.report.rows import evaluated_pairs, missing_pairs, read_health, read_rows, warn_of_leftovers

READ = ("evaluations", "labels", "metrics", "costs")
WRITTEN = ("page", "table", "cost_overview")


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=READ, writes=WRITTEN, about=__doc__)
    params = validate(ReportParams, load_value("report"), where="report")
    categories, methods = list(load_value("categories")), list(params.stages_of_method)
    pairs = evaluated_pairs(categories, methods, off_by_default=params.off_by_default)
    warn_of_leftovers(paths.metrics, pairs=pairs, categories=categories, methods=methods)
    costs = collect_costs(paths.costs)
    rows = read_rows(paths.metrics, pairs=pairs, costs=costs, stages_of_method=params.stages_of_method)
    content = build_content(rows, metrics=paths.metrics, evaluations=paths.evaluations, labels=paths.labels)
    missing = missing_pairs(rows, categories=categories, methods=methods)
    write_page(paths.page, rows, content, health=read_health(paths.metrics, categories=categories), missing=missing)
    with replacing_file(paths.table) as temporary:
        temporary.write_text(markdown_table(rows), encoding="utf-8")
    write_costs(paths.cost_overview, costs)
    return f"{len(rows)} evaluations of {len(content.sections)} categories reported"


if __name__ == "__main__":
    main()
