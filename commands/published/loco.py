"""Our image AUROC on MVTec LOCO AD next to the published ones.

Published are table 5.1 of the AeCSAD thesis, in which CSAD is its author's own run of CSAD's code, and averages from
papers and repositories.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from commands.published.metrics import method_metrics
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

REFERENCE = Path(__file__).parent / "reference"
THESIS, REPORTED = REFERENCE / "aecsad_thesis_table_5_1.csv", REFERENCE / "mvtec_loco_reported.csv"
KINDS = ("logical", "structural")
AVERAGE, TOTAL = "average", "total"

Runs = Mapping[tuple[str, str], Sequence[float]]


def show_runs(folder: Path, *, method: str) -> str:
    """Print the tables for the runs in a folder.

    Args:
        folder: holds one folder for each run (a seed), with `<category>.json` as the evaluation wrote it.
        method: of ours.

    Raises:
        UserError: there is no run, or one of them lacks a number.
    """
    runs = with_averages(read_runs(folder, method=method))
    console = Console()
    console.print(per_category(runs))
    console.print(averages(runs))
    return f"{len({category for category, _ in runs} - {AVERAGE})} categories next to the published numbers"


def read_runs(folder: Path, *, method: str) -> dict[tuple[str, str], list[float]]:
    """Image AUROC of a method in percent by (category, kind), one value for each run.

    Raises:
        UserError: there is no run, a file is damaged or lacks the method, or an AUROC is undefined.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for path in sorted(folder.glob("*/*.json")):
        for kind in KINDS:
            auroc = method_metrics(path, method).get("image_auroc", {}).get(kind)
            if auroc is None:
                raise UserError(f"{path}: no {kind} image AUROC: is it the evaluation of an MVTec LOCO category?")
            values.setdefault((path.stem, kind), []).append(100 * float(auroc))
    if not values:
        raise UserError(f"{folder}: no run in it (<run>/<category>.json): `make paper` makes them")
    return values


def with_averages(runs: Runs) -> dict[tuple[str, str], list[float]]:
    """Add the averages over the categories for each kind, and over both kinds, run by run.

    Raises:
        UserError: a category has fewer runs than another.
    """
    counts = {category: len(values) for (category, _), values in runs.items()}
    if len(set(counts.values())) > 1:
        raise UserError(f"the categories have different numbers of runs {counts}: complete them, or remove the rest")
    averaged = {key: list(values) for key, values in runs.items()}
    for kind in KINDS:
        columns = [values for (_, own), values in runs.items() if own == kind]
        averaged[AVERAGE, kind] = [statistics.mean(run) for run in zip(*columns, strict=True)]
    both = zip(*(averaged[AVERAGE, kind] for kind in KINDS), strict=True)
    averaged[AVERAGE, TOTAL] = [statistics.mean(run) for run in both]
    return averaged


def per_category(runs: Runs) -> Table:
    """Table 5.1 of the thesis with our column; a dash where we have no run. An average needs all its categories."""
    reference = pd.read_csv(THESIS)
    methods = list(reference.columns[2:])
    table = Table(title="Image AUROC on MVTec LOCO AD, in %", box=SIMPLE_HEAD, padding=0)
    for heading in ("category", "kind", *methods, "ours"):
        table.add_column(heading, justify="left" if heading in ("category", "kind") else "right")
    complete = set(reference["category"]) - {AVERAGE} <= {category for category, _ in runs}
    for row in reference.to_dict("records"):
        key = (str(row["category"]), str(row["kind"]))
        ours = "–" if key[0] == AVERAGE and not complete else text_of(runs.get(key, []))
        table.add_row(*key, *(f"{row[method]:.1f}" for method in methods), ours)
    return table


def averages(runs: Runs) -> Table:
    """What others report as averages over the five categories, what they use, and whether test data chose anything."""
    reference = pd.read_csv(REPORTED, dtype=str, keep_default_na=False)
    headings = [
        "method",
        "logical",
        "structural",
        "mean",
        "spread",
        "leak_free",
        "labels_or_extras",
        "selection",
        "source",
    ]
    table = Table(title="Averages as reported", box=SIMPLE_HEAD, padding=0)
    for heading in headings:
        table.add_column(heading.replace("_", " "), overflow="fold")
    for row in reference.to_dict("records"):
        table.add_row(*(str(row[heading]) or "–" for heading in headings))
    categories = len({category for category, _ in runs} - {AVERAGE})
    ours = [text_of(runs[AVERAGE, kind]) for kind in (*KINDS, TOTAL)]
    spread = "" if len(runs[AVERAGE, TOTAL]) < 2 else f"{statistics.stdev(runs[AVERAGE, TOTAL]):.2f}"
    further = [spread or "–", "yes", "as the profile says", "last iteration", counted(categories, "product")]
    table.add_row("ours", *ours, *further)
    return table


def text_of(values: Sequence[float]) -> str:
    """Mean and, of several runs, their standard deviation; a dash without any."""
    if not values:
        return "–"
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")
