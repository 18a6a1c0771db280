"""The page: everything in one HTML file that asks for nothing else."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import UNIT
from stages.report.charts import PLOT
from stages.report.content import Content, Sources, build_content
from stages.report.rows import COLUMNS, Row, main_rows, read_health, unmeasured_lines
from stages.report.run_cost import RunCost
from stages.report.table import (
    NOTE,
    REFERENCE_NOTE,
    REFERENCES,
    REPETITION_HEADINGS,
    REPETITION_NOTE,
    repetition_lines,
)

BROKEN = (UserError, OSError, LookupError, TypeError, ValueError, AttributeError, TemplateError)
LOG = logging.getLogger(__name__)


def find_problems(rows: Sequence[Row], sources: Sources) -> dict[str, str]:
    """Try each category's part of the page by itself, without its pictures; return what is wrong with which category.

    One broken product must not cost the others their page. What is wrong is logged, and stands in its place.
    """
    problems = {}
    for category in sources.methods.categories:
        own = [row for row in rows if row.category == category]
        try:
            content = build_content(own, sources, limit=0)
            render(own, content, health=read_health(sources.metrics, categories=[category]))
        except BROKEN as error:
            problems[category] = f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
            LOG.error("%s is not on the page: %s", category, problems[category])
    return problems


def write_page(path: Path, text: str) -> None:
    """Write the page, whole or not at all."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def render(
    rows: Sequence[Row],
    content: Content,
    *,
    health: Mapping[str, Any] | None = None,
    missing: Sequence[str] = (),
    problems: Mapping[str, str] | None = None,
    run: RunCost | None = None,
) -> str:
    """Fill the template that lies next to this module.

    Args:
        health: findings about the data by category; empty where none were made.
        missing: names of what was not evaluated.
        problems: what is wrong by category, of those that `content` does not show.
        run: the cost next to the reference machine's; None where it was not compared.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    data = {"images": content.images, "pictures": content.store.uris, "components": content.components}
    values: Mapping[str, Any] = {
        "columns": COLUMNS, "rows": rows, "sections": content.sections, "note": NOTE, "missing": missing,
        "excluded": content.store.excluded, "references": REFERENCES, "reference_note": REFERENCE_NOTE, "data": data,
        "categories": list(dict.fromkeys(row.category for row in rows)), "health": health or {},
        "problems": problems or {}, "unmeasured": unmeasured_lines(rows),
        "methods": list(dict.fromkeys(row.method for row in rows)), "repetitions": repetition_lines(rows),
        "main_rows": main_rows(rows), "run": run, "unit": UNIT,
        "main_methods": " or ".join(dict.fromkeys(row.method for row in main_rows(rows))),
        "plot": PLOT, "repetition_headings": REPETITION_HEADINGS, "repetition_note": REPETITION_NOTE,
    }  # fmt: skip
    return environment.get_template("page.html.j2").render(values)


def percent(value: float | None) -> str:
    """Return one digit after the point; a dash for what is undefined."""
    return "–" if value is None else f"{100 * value:.1f} %"
