"""Compare the metrics of two revisions, and judge whether a scheduled run passes. Knows neither DVC nor Prefect."""

import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands.compare.rows import MetricRow, read_rows
from flows.process.commands import checked
from flows.schedule.loop import Report

COMMAND = ("-m", "commands", "compare")  # of the clone, whose version may be another one
SHOWN = 10


@dataclass(frozen=True)
class Comparison:
    """The metrics of two revisions, row by row and as Markdown."""

    old: str
    new: str
    rows: tuple[MetricRow, ...]
    markdown: str


def compare(clone: Path, old: str, new: str, *, tolerance: float) -> Comparison:
    """Compare the metrics that git has of two revisions.

    Args:
        tolerance: percentage points; smaller differences are noise, significant or not.

    Raises:
        UserError: the command failed or printed something else than expected.
    """
    with tempfile.TemporaryDirectory(prefix="oddpart-") as folder:
        texts = {}
        for form in ("json", "markdown"):
            output = Path(folder) / form
            options = ["--format", form, "--output", str(output), "--tolerance", str(tolerance)]
            command = [sys.executable, *COMMAND, old, new, *options]
            checked(command, folder=clone, doing=f"comparing {new} with {old}")
            texts[form] = output.read_text(encoding="utf-8")
    return Comparison(old, new, tuple(read_rows(texts["json"])), texts["markdown"])


@dataclass(frozen=True)
class Verdict:
    """The reasons against a run; without any it passes."""

    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether there is no reason against the run."""
        return not self.reasons


def judge_run(rows: Sequence[MetricRow], report: Report, *, problems: Iterable[str] = ()) -> Verdict:
    """Judge a run, also one in which nothing had to run: the metrics that are there count.

    Args:
        rows: the new metrics compared with the baseline; "drop" already means significant and beyond the tolerance.
        problems: what went wrong apart from stages and metrics, such as a push.
    """
    reasons = [fault.message for _, fault in sorted(report.faults.items())]
    if report.skipped:
        reasons.append(f"not run, as they need a stage that failed: {', '.join(report.skipped)}")
    reasons += problems
    if not any(row.new is not None for row in rows):
        reasons.append("there is no metric that could be judged: is metrics/ committed, and does `dvc repro` write it?")
    missing = [row.name for row in rows if row.verdict == "missing"]
    if missing:
        reasons.append(f"{len(missing)} metrics of the baseline are missing: {_some(missing)}")
    drops = [f"{row.name} {_percent(row.old)} -> {_percent(row.new)}" for row in rows if row.verdict == "drop"]
    if drops:
        reasons.append(f"{len(drops)} metrics dropped significantly: {_some(drops)}")
    return Verdict(tuple(reasons))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
