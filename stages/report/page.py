"""The page: everything in one HTML file that asks for nothing else.

The component labels that AeCSAD trains on: their pictures, numbers and warnings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from commands.published.few_shot import NOTE as REFERENCE_NOTE
from commands.published.few_shot import REFERENCES
from commands.table import NOTE
from stages.core.run.atomic import replacing_file
from stages.core.run.console import progress
from stages.report.charts import Chart, histogram_chart, read_csv, training_charts, unit_chart
from stages.report.costs import read_json
from stages.report.pictures import (
    PictureStore,
    Result,
    Strip,
    component_pictures,
    fitting_side,
    page_image,
    read_results,
    strips,
)
from stages.report.repetitions import HEADINGS as DRAWS_HEADINGS
from stages.report.repetitions import NOTE as DRAWS_NOTE
from stages.report.repetitions import draw_lines
from stages.report.rows import COLUMNS, Row

PICTURES = 3  # of an image: itself, its heatmap, its mask


@dataclass(frozen=True)
class LabelReview:
    """What the label_review stage found; a picture is its key, None when the page has no room for it."""

    numbers: Mapping[str, Any]
    overlays: str | None
    classes: str | None


def read_label_review(category: str, *, sheets: Path, metrics: Path, store: PictureStore) -> LabelReview | None:
    """A category's review, or None where its labels were not made yet.

    Raises:
        UserError: the numbers are damaged.
    """
    numbers, folder = metrics / "labels" / f"{category}.json", sheets / category
    if not numbers.is_file() or not folder.is_dir():
        return None
    pictures = (store.take(folder / name, shrink=False) for name in ("overlays.jpg", "classes.jpg"))
    return LabelReview(read_json(numbers), *pictures)


@dataclass(frozen=True)
class Instance:
    """A method on a category.

    Attributes:
        intervals: of image AUROCs, [low, high] by group and by branch and group; empty where none were written.
        overview: key of a picture, or None.
    """

    row: Row
    intervals: Mapping[str, Any]
    histogram: Chart
    overview: str | None
    strips: tuple[Strip, ...]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A category: charts that compare the methods, the component labels, how trainings ran, then each method."""

    category: str
    labels: LabelReview | None
    charts: tuple[Chart, ...]
    training: tuple[Chart, ...]
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class Content:
    """What the page shows.

    Attributes:
        images: of all instances, one after the other; see `page_image`.
        components: keys of pictures, by "method/category" and class of component.
    """

    sections: tuple[Section, ...]
    images: Sequence[Mapping[str, Any]]
    components: Mapping[str, Mapping[str, str]]
    store: PictureStore


def build_content(rows: Sequence[Row], *, metrics: Path, evaluations: Path, labels: Path) -> Content:
    """Read all evaluations, in the order of the rows; wrong verdicts get their pictures first.

    Raises:
        UserError: a file of an evaluation is missing or damaged.
    """
    folders = [evaluations / row.method / row.category for row in rows]
    results = [read_results(folder) for folder in folders]
    store = PictureStore(side=fitting_side(PICTURES * sum(map(len, results))))
    overviews = [store.take(folder / "overview.jpg", shrink=False) for folder in folders]
    images = build_images(rows, folders, results, store)
    components = {
        f"{row.method}/{row.category}": component_pictures(folder, store)
        for row, folder in zip(rows, folders, strict=True)
    }
    instances, first = [], 0
    for row, own, overview in zip(rows, results, overviews, strict=True):
        bins = wide_bins(read_csv(metrics / "plots" / row.method / row.category / "scores.csv"))
        chart = histogram_chart("Scores of test images", bins, threshold=row.metrics["threshold"]["value"])
        branches = tuple(row.metrics.get("branches", {}))
        file = metrics / "intervals" / row.method / f"{row.category}.json"
        intervals = read_json(file) if file.exists() else {}
        instances.append(Instance(row, intervals, chart, overview, strips(own, first=first), branches))
        first += len(own)
    sections = []
    for category in dict.fromkeys(row.category for row in rows):
        chosen = tuple(instance for instance in instances if instance.row.category == category)
        review = read_label_review(category, sheets=labels, metrics=metrics, store=store)
        training = training_charts(metrics, category)
        sections.append(Section(category, review, build_charts(chosen, metrics), training, chosen))
    return Content(tuple(sections), images, components, store)


def build_images(
    rows: Sequence[Row], folders: Sequence[Path], results: Sequence[Sequence[Result]], store: PictureStore
) -> list[dict[str, Any]]:
    """All images in the order of the rows; the store is asked for the wrong ones first."""
    places = [(number, result) for number, own in enumerate(results) for result in own]
    images: dict[int, dict[str, Any]] = {}
    order = sorted(range(len(places)), key=lambda index: bool(places[index][1]["correct"]))
    for position in progress(order, total=len(order), label="images of the page"):
        number, result = places[position]
        row = rows[number]
        images[position] = page_image(folders[number], result, store, category=row.category, method=row.method)
    return [images[position] for position in range(len(places))]


def build_charts(instances: Sequence[Instance], metrics: Path) -> tuple[Chart, ...]:
    """ROC and precision-recall curves of a category's methods."""
    folders = {one.row.method: metrics / "plots" / one.row.method / one.row.category for one in instances}
    roc = {method: read_csv(folder / "roc.csv") for method, folder in folders.items()}
    recall = {method: read_csv(folder / "precision_recall.csv") for method, folder in folders.items()}
    return (
        unit_chart("ROC", roc, x="false_positive_rate", y="true_positive_rate"),
        unit_chart("Precision and recall", recall, x="recall", y="precision"),
    )


def wide_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Column score and a count column for each kind, normal first, from columns score, kind and images."""
    kinds = list(dict.fromkeys(bins["kind"]))
    return bins.pivot(index="score", columns="kind", values="images")[kinds].reset_index()


def write_page(
    path: Path, rows: Sequence[Row], content: Content, *, health: Mapping[str, Any], missing: Sequence[str]
) -> None:
    """Fill the template that lies beside this module.

    Args:
        health: findings about the data by category; empty where none were made.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["percent"] = percent
    data = {"images": content.images, "pictures": content.store.uris, "components": content.components}
    values: Mapping[str, Any] = {
        "columns": COLUMNS, "rows": rows, "sections": content.sections, "note": NOTE, "missing": missing,
        "left_out": content.store.left_out, "references": REFERENCES, "reference_note": REFERENCE_NOTE, "data": data,
        "categories": list(dict.fromkeys(row.category for row in rows)), "health": health,
        "methods": list(dict.fromkeys(row.method for row in rows)), "draws": draw_lines(rows),
        "draws_headings": DRAWS_HEADINGS, "draws_note": DRAWS_NOTE,
    }  # fmt: skip
    with replacing_file(path) as temporary:
        temporary.write_text(environment.get_template("page.html.j2").render(values), encoding="utf-8")


def percent(value: float | None) -> str:
    """One digit behind the point; a dash for what is undefined."""
    return "–" if value is None else f"{100 * value:.1f} %"
