"""Recompute the metrics of images from the tracked scores: `oddpart verify metrics`.

By formulas of its own, in plain numpy, so that a fault of the evaluation would show: AUROC as the share of pairs in
order, average precision step by step, F1 and false alarms by counting at the stated threshold.
"""

import csv
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from rich.table import Table

from stages.core.io.truth import KINDS
from stages.core.run.console import CONSOLE
from stages.core.runtime.calibration import counted
from stages.core.runtime.errors import UserError

COLUMNS = ["method", "image_id", "kind", "score"]
NORMAL, GROUPS = "normal", ("all", "logical", "structural")
TOLERANCE = 2e-6  # the metrics have six digits
THRESHOLD_DIGITS = 1e-5  # relative: thresholds have six digits, too
SHOWN = 20

Scores = dict[str, Float64[np.ndarray, " n"]]  # of a method's test images, by kind


@dataclass(frozen=True)
class Evaluated:
    """Scores and metrics of one product in one run.

    Attributes:
        run: name of the folder, empty where there is one run only.
        scores: by method.
        metrics: by method, as evaluation wrote them.
    """

    run: str
    product: str
    scores: Mapping[str, Scores]
    metrics: Mapping[str, Any]


def recompute(folder: Path) -> str:
    """Compare every AUROC, average precision, F1 and false-alarm rate with its scores, and print the means.

    Args:
        folder: the pipeline's `metrics`, or one with a folder for each run, as `make paper` writes it.

    Raises:
        UserError: a file is damaged or missing, or a number is not that of the scores.
    """
    pairs = list(pairs_of(folder))
    require_all(pairs)
    found = [read(*pair, folder) for pair in pairs]
    if not found:
        raise UserError(f"{folder}: no table of scores with its metrics (scores/<product>.csv, <run>/<product>.csv)")
    compared, wrong = 0, list[str]()
    for one in found:
        try:
            for name, stated, low, high in numbers_of(one):
                compared += 1
                if not agrees(stated, low, high):
                    wrong.append(f"{one.run} {one.product} {name}: stated {stated}, from the scores {high}".strip())
        except (AttributeError, KeyError, TypeError) as error:
            where = f"{one.run} {one.product}".strip()
            what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{folder}: {where}: the metrics are damaged ({what}): evaluate again") from None
    CONSOLE.print(means(found))
    if wrong:
        listed = "".join(f"\n  - {line}" for line in wrong[:SHOWN])
        raise UserError(f"{folder}: {len(wrong)} of {counted(compared, 'number')} not as the scores have it:{listed}")
    return f"{counted(compared, 'number')} of {counted(len(found), 'evaluation')} found as the scores have them"


def pairs_of(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each table of scores and the file of its metrics."""
    for scores in sorted(folder.glob("*/*.csv")):
        metrics = scores.with_suffix(".json")
        if scores.parent.name == "scores":
            metrics = scores.parent.parent / "evaluation" / metrics.name
        if metrics.is_file():
            yield scores, metrics


def require_all(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Pass when next to these pairs there are neither metrics without scores nor scores without metrics.

    Raises:
        UserError: there are; all are named.
    """
    folders = {(scores.parent, metrics.parent) for scores, metrics in pairs}
    alone = list[Path]()
    for tables, evaluations in sorted(folders):
        paired = {scores.stem for scores, _ in pairs if scores.parent == tables}
        alone += [path for path in sorted(tables.glob("*.csv")) if path.stem not in paired]
        alone += [path for path in sorted(evaluations.glob("*.json")) if path.stem not in paired]
    if alone:
        raise UserError(
            "cannot be compared, as the scores (.csv) or the metrics (.json) that belong to it are missing: "
            + ", ".join(map(str, alone))
        )


def read(scores: Path, metrics: Path, folder: Path) -> Evaluated:
    """Read a table of scores and its metrics.

    Raises:
        UserError: one of them is damaged.
    """
    tables: dict[str, dict[str, list[float]]] = {}
    try:
        with scores.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != COLUMNS:
                raise ValueError(f"its columns are {rows.fieldnames}, not {COLUMNS}")
            seen = set[tuple[str, str]]()
            for row in rows:
                check_row(row, seen)
                tables.setdefault(row["method"], {}).setdefault(row["kind"], []).append(float(row["score"]))
        content = json.loads(metrics.read_text(encoding="utf-8"))
        by_method = {
            method: {kind: np.array(values) for kind, values in kinds.items()} for method, kinds in tables.items()
        }
        if set(by_method) != set(content):
            raise ValueError(f"methods {sorted(by_method)}, in {metrics} {sorted(content)}")
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{scores} or {metrics.name}: cannot be read ({error})") from None
    run = "" if scores.parent.name == "scores" else str(scores.parent.relative_to(folder))
    return Evaluated(run, scores.stem, by_method, content)


def check_row(row: Mapping[str, str], seen: set[tuple[str, str]]) -> None:
    """Pass a row with a kind and a finite score of an image that its method did not have yet, and remember it.

    Raises:
        ValueError: it is none.
    """
    name = (row["method"], row["image_id"])
    if name in seen:
        raise ValueError(f"{row['method']} has {row['image_id']} twice")
    if row["kind"] not in KINDS or not math.isfinite(float(row["score"])):
        raise ValueError(f"{row['method']}, {row['image_id']}: kind {row['kind']!r}, score {row['score']!r}")
    seen.add(name)


def numbers_of(one: Evaluated) -> Iterator[tuple[str, Any, float | None, float | None]]:
    """Yield each number's name, what the metrics state, and the lowest and highest value that the scores allow.

    Raises:
        AttributeError, KeyError, TypeError: the metrics lack a number, or a section is none.
    """
    for method, kinds in one.scores.items():
        stated = one.metrics[method]
        normal = kinds.get(NORMAL, np.zeros(0))
        for group in GROUPS:
            anomalous = anomalies(kinds, group)
            for name, formula in (("image_auroc", auroc), ("average_precision", average_precision)):
                value = formula(normal, anomalous)
                yield f"{method} {name} {group}", stated[name][group], value, value
            yield f"{method} images {group}", stated["images"][group], len(anomalous), len(anomalous)
        yield f"{method} images normal", stated["images"]["normal"], len(normal), len(normal)
        threshold = stated["threshold"]["value"] if stated["threshold"] else None
        if threshold is not None:
            slack = abs(threshold) * THRESHOLD_DIGITS
            either = [decisions(normal, anomalies(kinds, "all"), threshold + shift) for shift in (-slack, slack)]
            for name in ("f1", "false_alarm_rate"):
                values = [found[name] for found in either]
                defined = [value for value in values if value is not None]
                low, high = (min(defined), max(defined)) if defined else (None, None)
                yield f"{method} {name}", stated["at_threshold"][name], low, high


def anomalies(kinds: Scores, group: str) -> Float64[np.ndarray, " m"]:
    """Return the scores of a group's anomalies."""
    chosen = [values for kind, values in sorted(kinds.items()) if kind != NORMAL and group in ("all", kind)]
    return np.concatenate([np.zeros(0), *chosen])


def auroc(normal: Float64[np.ndarray, " n"], anomalous: Float64[np.ndarray, " m"]) -> float | None:
    """Return the share of pairs in which the anomaly scores higher, ties count half; None without pairs."""
    if not len(normal) or not len(anomalous):
        return None
    below, pairs = np.sort(normal), len(normal) * len(anomalous)
    won, not_lost = (np.searchsorted(below, anomalous, side=side).sum() for side in ("left", "right"))
    return float((won + not_lost) / (2 * pairs))


def average_precision(normal: Float64[np.ndarray, " n"], anomalous: Float64[np.ndarray, " m"]) -> float | None:
    """Return the mean over the anomalies of the precision at their score, where equal ones are found together."""
    if not len(normal) or not len(anomalous):
        return None
    found, alarms = ((scores >= anomalous[:, None]).sum(axis=1) for scores in (anomalous, normal))
    return float((found / (found + alarms)).mean())


def decisions(
    normal: Float64[np.ndarray, " n"], anomalous: Float64[np.ndarray, " m"], threshold: float
) -> dict[str, float | None]:
    """Return F1 and the rate of false alarms when what lies above a threshold is called anomalous."""
    hits, alarms = int((anomalous > threshold).sum()), int((normal > threshold).sum())
    return {
        "f1": 2 * hits / (hits + alarms + len(anomalous)) if len(anomalous) else None,
        "false_alarm_rate": alarms / len(normal) if len(normal) else None,
    }


def agrees(stated: Any, low: float | None, high: float | None) -> bool:
    """Report whether a number lies in a range, up to its last digit; or is undefined on both sides."""
    if stated is None or low is None or high is None:
        return stated is None and low is None
    if not isinstance(stated, (int, float)):
        return False
    return low - TOLERANCE <= stated <= high + TOLERANCE


def means(found: Sequence[Evaluated]) -> Table:
    """Return a table of recomputed image AUROC by product and method, and their means: over runs, then products."""
    table = Table("method", "product", "runs", "logical", "structural", "mean of both", "all", title="Image AUROC in %")
    for method in sorted({method for one in found for method in one.scores}):
        rows: dict[str, list[list[float | None]]] = {}
        for one in found:
            if method in one.scores:
                kinds = one.scores[method]
                values = [auroc(kinds.get(NORMAL, np.zeros(0)), anomalies(kinds, group)) for group in GROUPS]
                rows.setdefault(one.product, []).append([values[1], values[2], mean(values[1:]), values[0]])
        for product, runs in sorted(rows.items()):
            table.add_row(method, product, str(len(runs)), *(cell(column) for column in zip(*runs, strict=True)))
        counts = {len(runs) for runs in rows.values()}
        if len(rows) > 1 and len(counts) == 1:  # run by run over all products, then their spread
            by_run = [[mean(column) for column in zip(*runs, strict=True)] for runs in zip(*rows.values(), strict=True)]
            table.add_row(method, "mean", str(counts.pop()), *(cell(column) for column in zip(*by_run, strict=True)))
    return table


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean; None where a value is undefined."""
    defined = [value for value in values if value is not None]
    return statistics.mean(defined) if len(defined) == len(values) else None


def cell(values: Sequence[float | None]) -> str:
    """Return mean and, of several values, their standard deviation in percent."""
    defined = [100 * value for value in values if value is not None]
    if not defined or len(defined) < len(values):
        return "–"
    return f"{statistics.mean(defined):.2f}" + (f" ± {statistics.stdev(defined):.2f}" if len(defined) > 1 else "")
