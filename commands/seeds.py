"""Mean and spread over several runs, for instance three seeds: `python -m stages.report.seeds HEAD seed-1 seed-2`."""

import argparse
import io
import json
import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
from rich.table import Table

from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.params import load_value, validate
from stages.core.run.stage import command_entry
from stages.report.params import ReportParams
from stages.report.rows import evaluated_pairs

LOG = logging.getLogger(__name__)
COLUMNS = {
    "image AUROC logical": ("image_auroc", "logical"),
    "structural": ("image_auroc", "structural"),
    "all": ("image_auroc", "all"),
    "pixel AUROC": ("pixel_auroc", "all"),
    "false alarms": ("at_threshold", "false_alarm_rate"),
}
DIFFERING = "verdicts that differ"  # share of the test images that not all runs judge alike


@command_entry
def main(argv: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revisions", nargs="+", help="commits, branches, tags or DVC experiments")
    revisions = parser.parse_args(argv).revisions
    params = validate(ReportParams, load_value("report"), where="report")
    pairs = evaluated_pairs(
        list(load_value("categories")), list(params.stages_of_method), off_by_default=params.off_by_default
    )
    table = Table(title=f"mean ± spread (largest - smallest) / 2 over {len(revisions)} runs, in %")
    for heading in ("category", "method", *COLUMNS, DIFFERING):
        table.add_column(heading, justify="left" if heading in ("category", "method") else "right")
    for category, method in pairs:
        if not Path(f"metrics/{method}/{category}.json").exists():  # not evaluated yet
            continue
        runs = [read_metrics(f"metrics/{method}/{category}.json", revision) for revision in revisions]
        scores = [read_scores(f"metrics/scores/{method}/{category}.csv", revision) for revision in revisions]
        numbers = (mean_and_spread(runs, path) for path in COLUMNS.values())
        table.add_row(category, method, *numbers, verdicts_that_differ(runs, scores))
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


def read_scores(path: str, revision: str) -> pd.Series | None:
    """The scores of the test images by image_id as they were at a revision; None where they were not kept yet."""
    try:
        text = dvc.api.read(path, rev=revision)
    except Exception as error:  # DVC and its git backend raise many kinds
        LOG.warning("%s at %r cannot be read (%s): no verdicts to compare", path, revision, type(error).__name__)
        return None
    return pd.read_csv(io.StringIO(text), dtype={"image_id": str}).set_index("image_id")["score"]


def verdicts_that_differ(runs: Sequence[Mapping[str, Any]], scores: Sequence[pd.Series | None]) -> str:
    """For example "4.2"; a dash where a run has no scores, or where runs judged other images."""
    kept = [one for one in scores if one is not None]
    if len(kept) < len(scores) or any(set(one.index) != set(kept[0].index) for one in kept):
        return "-"
    called = [one.sort_index() > run["threshold"]["value"] for one, run in zip(kept, runs, strict=True)]
    table = pd.concat(called, axis=1)
    return f"{100 * (table.any(axis=1) & ~table.all(axis=1)).mean():.1f}"


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
