"""The overview: one row for each category and method that params.yaml switches on and that was evaluated.

What a method cost is the sum over the stage instances that it needs. Each wrote metrics/cost/<key>/<stage>.json, with
the key that DVC shows after the @ of an instance: a category, a method of a family, or `<method>-<category>`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.io.decision import read_choice as read_json
from stages.core.run.errors import UserError
from stages.core.run.methods import Methods

LOG = logging.getLogger(__name__)

Costs = Mapping[str, Mapping[str, float]]  # "<key>/<stage>" -> {"seconds": ..., "peak_mb": ..., ...}


@dataclass(frozen=True)
class Row:
    """A method's metrics on a category.

    Attributes:
        metrics: as the evaluation wrote them.
        seconds: of the method's own stages; None when the cost of one is not known.
    """

    category: str
    method: str
    metrics: Mapping[str, Any]
    seconds: float | None


@dataclass(frozen=True)
class Column:
    """A number of the overview.

    Attributes:
        heading: short lines, so that the table fits 80 characters.
        path: keys in the metrics; empty for the seconds.
    """

    heading: tuple[str, ...]
    path: tuple[str, ...]

    def text(self, row: Row) -> str:
        """Return the number in percent with one digit, or in whole seconds; a dash when it is undefined."""
        if not self.path:
            return "–" if row.seconds is None else f"{row.seconds:.0f}"
        value: Any = row.metrics
        for key in self.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return "–" if value is None else f"{100 * value:.1f}"


COLUMNS = (
    Column(("image", "AUROC", "logical"), ("image_auroc", "logical")),
    Column(("image", "AUROC", "struct."), ("image_auroc", "structural")),
    Column(("image", "AUROC", "all"), ("image_auroc", "all")),
    Column(("pixel", "AUROC"), ("pixel_auroc", "all")),
    Column(("pixel", "AUPRO"), ("aupro", "all")),
    Column(("F1",), ("at_threshold", "f1")),
    Column(("false", "alarms"), ("at_threshold", "false_alarm_rate")),
    Column(("seconds",), ()),
)


def read_rows(metrics: Path, methods: Methods, costs: Costs) -> list[Row]:
    """Read the metrics of every pair of category and method that was evaluated, in the order of the tables.

    A category whose file is damaged is named in the log and has no rows; it does not cost the others theirs.

    Raises:
        UserError: none was evaluated.
    """
    evaluated = {category: read_evaluated(metrics / "evaluation", category) for category in methods.categories}
    warn_of_switched_off(evaluated, methods)
    rows = [
        Row(category, method, evaluated[category][method], seconds_of(costs, methods, category=category, method=method))
        for category, method in methods.pairs()
        if method in evaluated[category]
    ]
    if not rows:
        raise UserError(f"{metrics}: no method of `methods` in params.yaml was evaluated: run `dvc repro`")
    return rows


def main_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the first row of each category: of the method that is shown by default."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.category, row)
    return list(first.values())


def read_costs(folder: Path) -> Costs:
    """Read the cost of every stage instance, empty where nothing ran yet; a damaged one is logged and not known."""
    costs = {}
    for path in sorted(folder.rglob("*.json")):
        try:
            cost = read_json(path)
            costs[path.relative_to(folder).with_suffix("").as_posix()] = {**cost, "seconds": float(cost["seconds"])}
        except (UserError, LookupError, TypeError, ValueError) as error:
            LOG.error("%s: the cost is not known: %s", path, error)
    return costs


def seconds_of(costs: Costs, methods: Methods, *, category: str, method: str) -> float | None:
    """Add up the seconds of a method's stages on a category; None when one of them is not known.

    The whole cost of an instance that works for several categories counts for each of them.
    """
    total = 0.0
    for stage in methods.stages_of(method):
        keys = (f"{key}/{stage}" for key in (category, f"{method}-{category}", method))
        known = next((costs[key] for key in keys if key in costs), None)
        if known is None:
            return None
        total += known["seconds"]
    return total


def read_evaluated(folder: Path, category: str) -> dict[str, Any]:
    """Read a category's metrics by method; empty where there are none, or none that the tables can show."""
    try:
        found = read_by_method(folder, category)
        for method, metrics in found.items():
            if not isinstance(metrics, Mapping):
                raise TypeError(f"the metrics of {method} are {metrics!r}")
            _ = [column.text(Row(category, method, metrics, None)) for column in COLUMNS]
    except (UserError, TypeError, ValueError) as error:
        LOG.error("%s is not shown: %s", category, error)
        return {}
    return found


def unmeasured_lines(rows: Sequence[Row]) -> list[str]:
    """Say for each category on which detection was not measured why not; most often it has no anomaly to measure by."""
    reasons = {}
    for row in rows:
        reason = (row.metrics.get("reasons") or {}).get("image_auroc.all")
        if reason:
            reasons[row.category] = f"{row.category}: detection was not measured: {reason}"
    return list(reasons.values())


def read_by_method(folder: Path, category: str) -> dict[str, Any]:
    """Read `folder`/<category>.json, whose keys are methods; empty where it is not there.

    Raises:
        UserError: the file is not JSON.
    """
    path = folder / f"{category}.json"
    return read_json(path) if path.exists() else {}


def warn_of_switched_off(evaluated: Mapping[str, Mapping[str, Any]], methods: Methods) -> None:
    """Name the results of methods that params.yaml has switched off since the evaluation ran."""
    for category, found in evaluated.items():
        off = [method for method in found if method not in methods.of(category)]
        if off:
            LOG.warning("%s: not shown, switched off since the evaluation: %s", category, ", ".join(off))


def missing_pairs(rows: Sequence[Row], methods: Methods) -> list[str]:
    """Name what the overview lacks, as "category / method"; a method that is on for no category once."""
    there = {(row.category, row.method) for row in rows}
    used = dict.fromkeys(method for _, method in methods.pairs())
    lacking = [f"{category} / {method}" for category in methods.categories for method in used
               if (category, method) not in there]  # fmt: skip
    return lacking + [f"{method} (off)" for method in methods.off()]


def read_health(metrics: Path, *, categories: Sequence[str]) -> dict[str, Any]:
    """Read what is known of the categories' data: `metrics`/data_health/<category>.json, where it is there.

    Raises:
        UserError: a file is not JSON.
    """
    paths = {category: metrics / "data_health" / f"{category}.json" for category in categories}
    return {category: read_json(path) for category, path in paths.items() if path.exists()}


def image_counts(health: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of images of each category that is known of."""
    return {category: int(found["images"]) for category, found in health.items()}
