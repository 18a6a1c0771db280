"""What the page shows of each category, read from evaluations, metrics and choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.io.calibration import read_calibration
from stages.core.io.component_names import warn_of_unknown
from stages.core.io.components import CLASSES, NUMBERS, OVERLAYS
from stages.core.io.decision import read_choice as read_json
from stages.core.run.console import progress
from stages.core.run.methods import Methods
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.wording import Names
from stages.report.charts import Chart, by_method, read_csv, score_chart, training_charts, unit_chart
from stages.report.coverage import Coverage, coverage, read_evidence
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
from stages.report.rows import Row, main_rows, read_by_method, read_health

PICTURES = 3  # of an image: itself, its heatmap, its mask


@dataclass(frozen=True)
class LabelReview:
    """The component labels that AeCSAD trains on.

    Attributes:
        numbers: with warnings; as the clustering wrote them.
        proposal: which proposer found the components, why, and whose words it went by.
        agreement: with true components, of what was proposed and of every trial; null where there is no truth.
        overlays, classes: keys of pictures, None when the page has no space for them.
    """

    numbers: Mapping[str, Any]
    proposal: Mapping[str, Any]
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
    calibration: Calibration
    histogram: Chart
    overview: str | None
    strips: tuple[Strip, ...]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A category: charts that compare the methods, the component labels, how trainings ran, then each method.

    Attributes:
        coverage: what the first method can see.
        names: of components.
        instances: the method that is shown first, then those on request.
    """

    category: str
    coverage: Coverage
    names: Names
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


@dataclass(frozen=True)
class Sources:
    """Where the page comes from.

    Attributes:
        metrics, evaluations: folders.
        methods: the section `methods` of params.yaml.
        names: of components, by category.
    """

    metrics: Path
    evaluations: Path
    methods: Methods
    names: Mapping[str, Names]


def build_content(rows: Sequence[Row], sources: Sources, *, limit: int = LIMIT) -> Content:
    """Read all evaluations, in the order of the rows; wrong verdicts get their pictures first.

    Args:
        rows: those of a category one after the other.
        sources: where to read.
        limit: bytes of all pictures; without space for any none is decoded.

    Raises:
        UserError: a file of an evaluation is missing or damaged.
    """
    first_shown = main_rows(rows)
    judged = [read_judged(row, sources, main=row in first_shown) for row in rows]
    store = PictureStore(side=fitting_side(PICTURES * sum(len(one.results) for one in judged)), limit=limit)
    overviews = [store.take(one.folder / "overview.jpg", shrink=False) for one in judged]
    images = build_images(judged, store)
    components = {f"{one.row.method}/{one.row.category}": component_pictures(one.folder, store) for one in judged}
    found: list[tuple[Judged, str | None, tuple[Strip, ...]]] = []
    first = 0
    for one, overview in zip(judged, overviews, strict=True):
        found.append((one, overview, strips(one.results, first=first)))
        first += len(one.results)
    sections = []
    for category in dict.fromkeys(row.category for row in rows):
        own = [entry for entry in found if entry[0].row.category == category]
        sections.append(build_section(category, own, sources, store))
    return Content(tuple(sections), images, components, store)


@dataclass(frozen=True)
class Judged:
    """What the evaluation left of a method on a category.

    Attributes:
        main: whether the page shows it first and by default.
    """

    row: Row
    folder: Path
    results: Sequence[Result]
    calibration: Calibration
    names: Names
    main: bool


def read_judged(row: Row, sources: Sources, *, main: bool) -> Judged:
    """Read it.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder = sources.evaluations / row.category / row.method
    calibration, names = read_calibration(folder / "calibration.json"), sources.names.get(row.category, {})
    return Judged(row, folder, read_results(folder), calibration, names, main)


def build_images(judged: Sequence[Judged], store: PictureStore) -> list[dict[str, Any]]:
    """Describe all images in the order of the rows; the store is asked for the wrong ones first."""
    places = [(one, result) for one in judged for result in one.results]
    images: dict[int, dict[str, Any]] = {}
    order = sorted(range(len(places)), key=lambda index: bool(places[index][1]["correct"]))
    for position in progress(order, total=len(order), label="images of the page"):
        one, result = places[position]
        described = page_image(one.folder, result, store, one.calibration, names=one.names)
        about = {"category": one.row.category, "method": one.row.method, "main": one.main}
        images[position] = {**about, **described}
    return [images[position] for position in range(len(places))]


def build_section(
    category: str,
    found: Sequence[tuple[Judged, str | None, tuple[Strip, ...]]],
    sources: Sources,
    store: PictureStore,
) -> Section:
    """Put a category together.

    Args:
        category: its name.
        found: what was judged, overview and strips of each method.
        sources: where to read.
        store: takes the pictures.
    """
    metrics, names = sources.metrics, sources.names.get(category, {})
    first, rows = found[0][0].row, [one.row for one, _, _ in found]
    evidence = read_evidence(
        metrics / "choices" / category,
        stages=sources.methods.stages_of(first.method),
        threshold=first.metrics["threshold"],
        health=read_health(metrics, categories=[category]).get(category),
    )
    folder = next((one.folder for one, _, _ in found if (one.folder / "review").is_dir()), None)
    review = None if folder is None else read_label_review(folder / "review", category, metrics, store)
    if review is not None:
        warn_of_unknown(names, range(1, review.numbers["classes"] + 1), product=category)
    return Section(
        category,
        coverage(evidence),
        names,
        review,
        comparing_charts(metrics / "plots" / category, [row.method for row in rows]),
        training_charts(metrics, category),
        build_instances(found, metrics, category),
    )


def build_instances(
    found: Sequence[tuple[Judged, str | None, tuple[Strip, ...]]], metrics: Path, category: str
) -> tuple[Instance, ...]:
    """Put the methods of a category together.

    Args:
        found: what was judged, overview and strips of each.
        metrics: folder.
        category: its name.
    """
    bins = by_method(read_csv(metrics / "plots" / category / "scores.csv"))
    intervals = read_by_method(metrics / "intervals", category)
    instances = []
    for one, overview, own in found:
        row, wide = one.row, wide_bins(bins[one.row.method])
        chart = score_chart(wide, one.calibration)
        branches = tuple(row.metrics.get("branches", {}))
        instances.append(Instance(row, intervals.get(row.method, {}), one.calibration, chart, overview, own, branches))
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
    proposal = read_json(metrics / "choices" / category / "pseudo_label.json")
    return LabelReview(read_json(folder / NUMBERS), proposal, agreement, *sheets)
