"""The overview: one row for each category and method.

Which methods the params switch on for which categories: a file that an earlier run left is no result of this one.
"""

import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.run.errors import UserError
from stages.core.run.params import load_value
from stages.report.costs import Costs, read_json, total_seconds

LOG = logging.getLogger(__name__)


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
        """The number in percent with one digit, or in whole seconds; a dash when it is undefined."""
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


def read_rows(
    metrics: Path,
    *,
    pairs: Sequence[tuple[str, str]],
    costs: Costs,
    stages_of_method: Mapping[str, Sequence[str]],
) -> list[Row]:
    """Read `metrics`/<method>/<category>.json of every pair that was evaluated.

    Args:
        pairs: category and method, see `evaluated_pairs`.

    Raises:
        UserError: none was, or a file is not JSON.
    """
    files = {pair: metrics_file(metrics, *pair) for pair in pairs}
    rows = [
        Row(category, method, read_json(path), total_seconds(costs, category, stages_of_method[method]))
        for (category, method), path in files.items()
        if path.exists()
    ]
    if not rows:
        raise UserError(f"{metrics}: no method of `report.stages_of_method` was evaluated: run `dvc repro`")
    return rows


def warn_of_leftovers(
    metrics: Path, *, pairs: Collection[tuple[str, str]], categories: Sequence[str], methods: Sequence[str]
) -> None:
    """Name the results of methods that params.yaml has switched off since; DVC leaves the files of such stages."""
    for category, method in itertools.product(categories, methods):
        path = metrics_file(metrics, category, method)
        if (category, method) not in pairs and path.exists():
            LOG.warning("%s is left over and not shown: %s is off for %s; delete the file", path, method, category)


def missing_pairs(rows: Sequence[Row], *, categories: Sequence[str], methods: Sequence[str]) -> list[str]:
    """What the overview lacks, as "category / method"; a method that is on for no category is named once."""
    there = {(row.category, row.method) for row in rows}
    used = {row.method for row in rows}
    pairs = [(category, method) for category in categories for method in methods if method in used]
    lacking = [f"{category} / {method}" for category, method in pairs if (category, method) not in there]
    return lacking + [f"{method} (off)" for method in methods if method not in used]


def read_health(metrics: Path, *, categories: Sequence[str]) -> dict[str, Any]:
    """What is known of the categories' data, from `metrics`/data_health/<category>.json where it is there.

    Raises:
        UserError: a file is not JSON.
    """
    paths = {category: metrics / "data_health" / f"{category}.json" for category in categories}
    return {category: read_json(path) for category, path in paths.items() if path.exists()}


def metrics_file(metrics: Path, category: str, method: str) -> Path:
    """Where the evaluation writes what it measured."""
    return metrics / method / f"{category}.json"


def evaluated_pairs(
    categories: Sequence[str], methods: Sequence[str], *, off_by_default: Collection[str]
) -> list[tuple[str, str]]:
    """(category, method) of every evaluation that dvc.yaml has under the current params, in the order of the tables.

    Raises:
        UserError: params.yaml lacks a section of a method that is off by default.
    """
    on = switched_on()
    return [(c, m) for c in categories for m in methods if m not in off_by_default or c in on.get(m, ())]


def switched_on() -> Mapping[str, Collection[str]]:
    """The categories of each method that is switched on by name; `evaluation_...` in dvc.yaml run on the same."""
    sir = load_value("sir.categories")
    return {
        "inctrl": load_value("inctrl.categories"),
        "madclip": load_value("madclip.categories"),
        "uninformed_students": load_value("uninformed_students.categories"),
        **dict.fromkeys(load_value("sir.universal"), sir),
        **dict.fromkeys(load_value("sir.specialised"), sir),
    }
