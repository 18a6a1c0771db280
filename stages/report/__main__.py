"""Lay all evaluations side by side: one self-contained HTML page, and the overview as Markdown."""

from collections.abc import Sequence

from stages.core.running.atomic import replacing_file
from stages.core.running.params import load_value, validate
from stages.core.running.stage import parse_paths, stage_entry
from stages.report.methods import evaluated_pairs
from stages.report.page import build_content, write_page
from stages.report.params import ReportParams
from stages.report.rows import missing_pairs, read_health, read_rows, warn_of_leftovers
from stages.report.table import markdown_table


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["evaluations", "labels", "metrics"], writes=["page", "table"], about=__doc__)
    params = validate(ReportParams, load_value("report"), where="report")
    categories, methods = list(load_value("categories")), list(params.rooms_of_method)
    pairs = evaluated_pairs(categories, methods, off_by_default=params.off_by_default)
    warn_of_leftovers(paths.metrics, pairs=pairs, categories=categories, methods=methods)
    rows = read_rows(paths.metrics, pairs=pairs, rooms_of_method=params.rooms_of_method)
    content = build_content(rows, metrics=paths.metrics, evaluations=paths.evaluations, labels=paths.labels)
    missing = missing_pairs(rows, categories=categories, methods=methods)
    write_page(paths.page, rows, content, health=read_health(paths.metrics, categories=categories), missing=missing)
    with replacing_file(paths.table) as temporary:
        temporary.write_text(markdown_table(rows), encoding="utf-8")
    return f"{len(rows)} evaluations of {len(content.sections)} categories reported"


if __name__ == "__main__":
    main()
