"""The page: everything in one HTML file that asks for nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.core.artifacts.atomic import replacing_file
from stages.core.errors import UserError
from stages.report.charts import Chart, histogram_chart, unit_chart
from stages.report.gallery import Result, Strip, read_results, strips
from stages.report.labels import LabelReview, read_label_review
from stages.report.pictures import LIMIT, PictureBudget
from stages.report.rows import COLUMNS, Row
from stages.report.table import NOTE


@dataclass(frozen=True)
class Instance:
    """A method on a category; `overview` is a data URI or None."""

    row: Row
    histogram: Chart
    overview: str | None
    strips: tuple[Strip, ...]
    results: Sequence[Result]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A category: charts that compare the methods, the component labels, then each method."""

    category: str
    labels: LabelReview | None
    charts: tuple[Chart, ...]
    instances: tuple[Instance, ...]


def build_sections(
    rows: Sequence[Row], *, metrics: Path, evaluations: Path, labels: Path
) -> tuple[tuple[Section, ...], int]:
    """(sections in the order of the rows, number of pictures that did not fit).

    Every instance and every category's labels get the same share of the room for pictures.

    Raises:
        UserError: a file of the evaluation is missing or damaged.
    """
    categories = list(dict.fromkeys(row.category for row in rows))
    budgets = [PictureBudget(LIMIT // (len(rows) + len(categories))) for _ in (*rows, *categories)]
    instances = [build_instance(row, metrics, evaluations, own) for row, own in zip(rows, budgets, strict=False)]
    sections = []
    for category, budget in zip(categories, budgets[len(rows) :], strict=True):
        own_instances = tuple(instance for instance in instances if instance.row.category == category)
        review = read_label_review(category, sheets=labels, metrics=metrics, budget=budget)
        sections.append(Section(category, review, build_charts(own_instances, metrics), own_instances))
    return tuple(sections), sum(budget.left_out for budget in budgets)


def build_instance(row: Row, metrics: Path, evaluations: Path, budget: PictureBudget) -> Instance:
    """Read one method's results on a category."""
    folder = evaluations / row.method / row.category
    results = read_results(folder)
    bins = read_csv(metrics / "plots" / row.method / row.category / "scores.csv")
    chart = histogram_chart("Scores of test images", bins, threshold=row.metrics["threshold"]["value"])
    overview = budget.take(folder / "overview.jpg")
    return Instance(
        row, chart, overview, strips(folder, results, budget), results, tuple(row.metrics.get("branches", {}))
    )


def build_charts(instances: Sequence[Instance], metrics: Path) -> tuple[Chart, ...]:
    """ROC and precision-recall curves of a category's methods."""
    folders = {one.row.method: metrics / "plots" / one.row.method / one.row.category for one in instances}
    roc = {method: read_csv(folder / "roc.csv") for method, folder in folders.items()}
    recall = {method: read_csv(folder / "precision_recall.csv") for method, folder in folders.items()}
    return (
        unit_chart("ROC", roc, x="false_positive_rate", y="true_positive_rate"),
        unit_chart("Precision and recall", recall, x="recall", y="precision"),
    )


def read_csv(path: Path) -> pd.DataFrame:
    """Read plot data.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable plot data ({error}): run `dvc repro`") from None


def write_page(
    path: Path, rows: Sequence[Row], sections: Sequence[Section], *, left_out: int, missing: Sequence[str]
) -> None:
    """Fill the template that lies beside this module."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    values: Mapping[str, Any] = {
        "columns": COLUMNS, "rows": rows, "sections": sections, "note": NOTE, "left_out": left_out, "missing": missing,
    }  # fmt: skip
    with replacing_file(path) as temporary:
        temporary.write_text(environment.get_template("page.html.j2").render(values), encoding="utf-8")


def percent(value: float | None) -> str:
    """One digit behind the point; a dash for what is undefined."""
    return "–" if value is None else f"{100 * value:.1f} %"
