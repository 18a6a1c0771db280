"""Lay all evaluations side by side: one self-contained HTML page, and the overview as Markdown."""

from collections.abc import Sequence

from stages.core.running.atomic import replacing_file
from stages.core.running.params import load_value, validate
from stages.core.running.stage import parse_paths, stage_entry
from stages.report.page import build_content, write_page
from stages.report.params import ReportParams
from stages.report.rows import missing_pairs, read_health, read_rows
from stages.report.table import markdown_table


@stage_entry
def main(argv: Sequence[str]) -> str:
    paths = parse_paths(argv, reads=["evaluations", "labels", "metrics"], writes=["page", "table"], about=__doc__)
    rooms = validate(ReportParams, load_value("report"), where="report").rooms_of_method
    categories = list(load_value("categories"))
    rows = read_rows(paths.metrics, categories=categories, rooms_of_method=rooms)
    content = build_content(rows, metrics=paths.metrics, evaluations=paths.evaluations, labels=paths.labels)
    missing = missing_pairs(rows, categories=categories, methods=list(rooms))
    write_page(paths.page, rows, content, health=read_health(paths.metrics, categories=categories), missing=missing)
    with replacing_file(paths.table) as temporary:
        temporary.write_text(markdown_table(rows), encoding="utf-8")
    return f"{len(rows)} evaluations of {len(content.sections)} categories reported"


if __name__ == "__main__":
    main()
