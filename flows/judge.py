"""Whether a scheduled run passes: its stages, its transfers and its metrics. Knows neither DVC nor Prefect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flows.comparison import MetricRow
from flows.schedule import Report

SHOWN = 10


@dataclass(frozen=True)
class Verdict:
    """The reasons against a run; without any it passes."""

    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons


def judge(rows: Sequence[MetricRow], report: Report, *, problems: Iterable[str] = ()) -> Verdict:
    """Judge a run, also one in which nothing had to run: the metrics that are there count.

    Args:
        rows: the new metrics compared with the baseline; "drop" already means significant and beyond the tolerance.
        problems: what went wrong beside stages and metrics, such as a push.
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
