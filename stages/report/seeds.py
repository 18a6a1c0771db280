"""Mean and spread over several runs, for instance three seeds: `python -m stages.report.seeds HEAD seed-1 seed-2`."""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dvc.api
from rich.table import Table

from stages.core.console import CONSOLE
from stages.core.errors import UserError
from stages.core.params import load_value, validate
from stages.core.stage import command_entry
from stages.report.params import ReportParams

COLUMNS = {
    "image AUROC logical": ("image_auroc", "logical"),
    "structural": ("image_auroc", "structural"),
    "all": ("image_auroc", "all"),
    "pixel AUROC": ("pixel_auroc", "all"),
    "false alarms": ("at_threshold", "false_alarm_rate"),
}


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revisions", nargs="+", help="commits, branches, tags or DVC experiments")
    revisions = parser.parse_args(argv).revisions
    methods = validate(ReportParams, load_value("report"), where="report").rooms_of_method
    table = Table(title=f"mean ± spread (largest - smallest) / 2 over {len(revisions)} runs, in %")
    for heading in ("category", "method", *COLUMNS):
        table.add_column(heading, justify="left" if heading in ("category", "method") else "right")
    for category in load_value("categories"):
        for method in methods:
            path = f"metrics/{method}/{category}.json"
            if not Path(path).exists():  # a method that is off there
                continue
            runs = [read_metrics(path, revision) for revision in revisions]
            table.add_row(category, method, *(mean_and_spread(runs, path) for path in COLUMNS.values()))
    CONSOLE.print(table)
    return f"{len(revisions)} runs compared"


def read_metrics(path: str, revision: str) -> dict[str, Any]:
    """A metrics file as it was at a revision.

    Raises:
        UserError: the revision or the file is not there.
    """
    try:
        metrics: dict[str, Any] = json.loads(dvc.api.read(path, rev=revision))
    except Exception as error:  # DVC and its git backend raise many kinds
        raise UserError(f"{path} at {revision!r} cannot be read ({type(error).__name__}: {error})") from None
    return metrics


def mean_and_spread(runs: Sequence[Mapping[str, Any]], path: Sequence[str]) -> str:
    """For example "93.1 ± 0.4"; a dash where a run has no value."""
    values: list[float] = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        if value is None:
            return "-"
        values.append(100 * value)
    return f"{statistics.mean(values):.1f} ± {(max(values) - min(values)) / 2:.1f}"


if __name__ == "__main__":
    main()
