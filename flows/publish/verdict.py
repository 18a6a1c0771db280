"""Compare the metrics of two revisions, and judge whether a scheduled run passes. Knows neither DVC nor Prefect."""

import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from flows.process.commands import checked
from flows.schedule.loop import Report
from stages.core.run.errors import UserError

COMMAND = "commands.compare"
SHOWN = 10


@dataclass(frozen=True)
class MetricRow:
    """One metric in both revisions, as a fraction; None where a revision has no value.

    Attributes:
        low, high: the interval of the difference.
        verdict: "gain" or "drop" (both significant and beyond the tolerance), "noise", "missing" or "added".
    """

    category: str
    method: str
    kind: str
    metric: str
    old: float | None
    new: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def name(self) -> str:
        """Category, method, metric and kind in words."""
        return f"{self.category} {self.method} {self.metric} {self.kind}".strip()


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
            command = [sys.executable, "-m", COMMAND, old, new, *options]
            checked(command, folder=clone, doing=f"comparing {new} with {old}")
            texts[form] = output.read_text(encoding="utf-8")
    return Comparison(old, new, tuple(read_rows(texts["json"])), texts["markdown"])


def read_rows(text: str) -> Sequence[MetricRow]:
    """Read the rows of the command's JSON; keys that are not ours are ignored.

    Raises:
        UserError: it has another form.
    """
    names = [field.name for field in fields(MetricRow)]
    try:
        return [MetricRow(**{name: row[name] for name in names}) for row in json.loads(text)["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{COMMAND} wrote JSON of another form ({error!r}): {text[:200]}") from None


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
