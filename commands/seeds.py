"""Show mean and spread of several runs, for instance three seeds: `oddpart seeds HEAD seed-1 seed-2`.

Files tracked by git are enough; see `oddpart compare` for what a revision may be.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.table import Table

from commands.compare.revisions import Evaluated, read_revision
from stages.core.run.console import CONSOLE
from stages.core.run.errors import UserError
from stages.core.run.methods import load_methods
from stages.core.runtime.calibration import counted

METRICS = "metrics"  # the folder that evaluations write to
COLUMNS = {
    "image AUROC logical": ("image_auroc", "logical"),
    "structural": ("image_auroc", "structural"),
    "all": ("image_auroc", "all"),
    "pixel AUROC": ("pixel_auroc", "all"),
    "false alarms": ("at_threshold", "false_alarm_rate"),
}
DIFFERING = "verdicts that differ"  # share of the test images that not all runs judge alike

Runs = Mapping[str, Mapping[tuple[str, str], Evaluated]]  # by revision, then by category and method


def show_seeds(revisions: Sequence[str]) -> str:
    """Print mean and spread of all that was evaluated, and return the closing counts.

    Args:
        revisions: commits, branches, tags or DVC experiments.
    """
    runs = {revision: read_revision(revision, METRICS) for revision in revisions}
    CONSOLE.print(comparing_table(runs, load_methods().pairs()))
    return f"{counted(len(revisions), 'run')} compared"


def comparing_table(runs: Runs, pairs: Sequence[tuple[str, str]]) -> Table:
    """Lay out one line for each category and method that was evaluated.

    Args:
        pairs: category and method, in the order of the lines; those that no run has are excluded.

    Raises:
        UserError: one run has an evaluation that another one lacks.
    """
    table = Table(title=f"mean ± spread (largest - smallest) / 2 over {counted(len(runs), 'run')}, in %")
    for heading in ("category", "method", *COLUMNS, DIFFERING):
        table.add_column(heading, justify="left" if heading in ("category", "method") else "right")
    for pair in pairs:
        found = [run.get(pair) for run in runs.values()]
        kept = [one for one in found if one is not None]
        if not kept:
            continue
        if lacking := [revision for revision, one in zip(runs, found, strict=True) if one is None]:
            raise UserError(f"{', '.join(lacking)}: no evaluation of {pair[1]} on {pair[0]}, which other runs have")
        numbers = (mean_and_spread([one.metrics for one in kept], path) for path in COLUMNS.values())
        table.add_row(*pair, *numbers, verdicts_that_differ(kept))
    return table


def verdicts_that_differ(runs: Sequence[Evaluated]) -> str:
    """Return for example "4.2"; a dash where a run has no scores, or where runs judged other images."""
    scores = [run.scores["score"] for run in runs if run.scores is not None]
    if len(scores) < len(runs) or any(set(one.index) != set(scores[0].index) for one in scores):
        return "-"
    called = [one.sort_index() > run.metrics["threshold"]["value"] for one, run in zip(scores, runs, strict=True)]
    table = pd.concat(called, axis=1)
    return f"{100 * (table.any(axis=1) & ~table.all(axis=1)).mean():.1f}"


def mean_and_spread(runs: Sequence[Mapping[str, Any]], path: Sequence[str]) -> str:
    """Return for example "93.1 ± 0.4"; a dash where a run has no value."""
    values: list[float] = []
    for run in runs:
        value: Any = run
        for key in path:
            value = value[key]
        if value is None:
            return "-"
        values.append(100 * value)
    return f"{statistics.mean(values):.1f} ± {(max(values) - min(values)) / 2:.1f}"
