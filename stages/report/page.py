"""The page: everything in one HTML file that asks for nothing else."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from stages.core.io.components import CLASSES, NUMBERS, OVERLAYS
from stages.core.io.decision import read_choice as read_json
from stages.core.run.atomic import replacing_file
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.report.charts import Chart, by_method, histogram_chart, read_csv, training_charts, unit_chart
from stages.report.pictures import (
    LIMIT,
    PictureStore,
    Result,
    Strip,
    component_pictures,
    fitting_side,
    page_image,
    read_results,
    strips,
)
from stages.report.rows import COLUMNS, Row, read_by_method, read_health, unmeasured_lines
from stages.report.table import (
    NOTE,
    REFERENCE_NOTE,
    REFERENCES,
    REPETITION_HEADINGS,
    REPETITION_NOTE,
    repetition_lines,
)

PICTURES = 3  # of an image: itself, its heatmap, its mask
BROKEN = (UserError, OSError, LookupError, TypeError, ValueError, AttributeError, TemplateError)
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelReview:
    """The component labels that AeCSAD trains on.

    Attributes:
        numbers: with warnings; as the clustering wrote them.
        agreement: with true components, of what was proposed and of every trial; null where there is no truth.
        overlays, classes: keys of pictures, None when the page has no space for them.
    """

    numbers: Mapping[str, Any]
    agreement: Mapping[str, Any]
    overlays: str | None
    classes: str | None


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


def find_problems(
    rows: Sequence[Row], categories: Sequence[str], *, metrics: Path, evaluations: Path
) -> dict[str, str]:
    """Try each category's part of the page by itself, without its pictures; return what is wrong with which category.

    One broken product must not cost the others their page. What is wrong is logged, and stands in its place.
    """
    problems = {}
    for category in categories:
        own = [row for row in rows if row.category == category]
        try:
            content = build_content(own, metrics=metrics, evaluations=evaluations, limit=0)
            render(own, content, health=read_health(metrics, categories=[category]))
        except BROKEN as error:
            problems[category] = f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
            LOG.error("%s is not on the page: %s", category, problems[category])
    return problems


def build_content(rows: Sequence[Row], *, metrics: Path, evaluations: Path, limit: int = LIMIT) -> Content:
    """Read all evaluations, in the order of the rows; wrong verdicts get their pictures first.

    Args:
        rows: those of a category one after the other.
        limit: bytes of all pictures; without space for any none is decoded.

    Raises:
        UserError: a file of an evaluation is missing or damaged.
    """
    folders = [evaluations / row.category / row.method for row in rows]
    results = [read_results(folder) for folder in folders]
    store = PictureStore(side=fitting_side(PICTURES * sum(map(len, results))), limit=limit)
    overviews = [store.take(folder / "overview.jpg", shrink=False) for folder in folders]
    images = build_images(rows, folders, results, store)
    components = {
        f"{row.method}/{row.category}": component_pictures(folder, store)
        for row, folder in zip(rows, folders, strict=True)
    }
    found: list[tuple[Row, str | None, tuple[Strip, ...]]] = []
    first = 0
    for row, own, overview in zip(rows, results, overviews, strict=True):
        found.append((row, overview, strips(own, first=first)))
        first += len(own)
    sections = []
    for category in dict.fromkeys(row.category for row in rows):
        instances = build_instances([one for one in found if one[0].category == category], metrics, category)
        folder = next((f for f in folders if f.parent.name == category and (f / "review").is_dir()), None)
        review = None if folder is None else read_label_review(folder / "review", category, metrics, store)
        charts = comparing_charts(metrics / "plots" / category, [one.row.method for one in instances])
        sections.append(Section(category, review, charts, training_charts(metrics, category), instances))
    return Content(tuple(sections), images, components, store)


def build_images(
    rows: Sequence[Row], folders: Sequence[Path], results: Sequence[Sequence[Result]], store: PictureStore
) -> list[dict[str, Any]]:
    """Describe all images in the order of the rows; the store is asked for the wrong ones first."""
    places = [(number, result) for number, own in enumerate(results) for result in own]
    images: dict[int, dict[str, Any]] = {}
    order = sorted(range(len(places)), key=lambda index: bool(places[index][1]["correct"]))
    for position in progress(order, total=len(order), label="images of the page"):
        number, result = places[position]
        row = rows[number]
        images[position] = page_image(folders[number], result, store, category=row.category, method=row.method)
    return [images[position] for position in range(len(places))]


def build_instances(
    found: Sequence[tuple[Row, str | None, tuple[Strip, ...]]], metrics: Path, category: str
) -> tuple[Instance, ...]:
    """Put the methods of a category together.

    Args:
        found: row, overview and strips of each.
    """
    bins = by_method(read_csv(metrics / "plots" / category / "scores.csv"))
    intervals = read_by_method(metrics / "intervals", category)
    instances = []
    for row, overview, own in found:
        wide = wide_bins(bins[row.method])
        chart = histogram_chart("Scores of test images", wide, threshold=row.metrics["threshold"]["value"])
        branches = tuple(row.metrics.get("branches", {}))
        instances.append(Instance(row, intervals.get(row.method, {}), chart, overview, own, branches))
    return tuple(instances)


def comparing_charts(plots: Path, methods: Sequence[str]) -> tuple[Chart, ...]:
    """Draw ROC and precision-recall curves of a category's methods."""
    roc, recall = (by_method(read_csv(plots / f"{name}.csv"), methods) for name in ("roc", "precision_recall"))
    return (
        unit_chart("ROC", roc, x="false_positive_rate", y="true_positive_rate"),
        unit_chart("Precision and recall", recall, x="recall", y="precision"),
    )


def wide_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Turn columns score, kind and images into score and a count column for each kind, normal first."""
    kinds = list(dict.fromkeys(bins["kind"]))
    return bins.pivot(index="score", columns="kind", values="images")[kinds].reset_index()


def read_label_review(folder: Path, category: str, metrics: Path, store: PictureStore) -> LabelReview:
    """Read a category's component labels and how well they agree with true components.

    Raises:
        UserError: a file is missing or damaged.
    """
    agreement = read_json(metrics / "components" / f"{category}.json")
    sheets = (store.take(folder / name, shrink=False) for name in (OVERLAYS, CLASSES))
    return LabelReview(read_json(folder / NUMBERS), agreement, *sheets)


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
) -> str:
    """Fill the template that lies next to this module.

    Args:
        health: findings about the data by category; empty where none were made.
        missing: names of what was not evaluated.
        problems: what is wrong by category, of those that `content` does not show.
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
        "repetition_headings": REPETITION_HEADINGS, "repetition_note": REPETITION_NOTE,
    }  # fmt: skip
    return environment.get_template("page.html.j2").render(values)


def percent(value: float | None) -> str:
    """Return one digit after the point; a dash for what is undefined."""
    return "–" if value is None else f"{100 * value:.1f} %"
