"""A run in words: for its table in Prefect, its commit message, and its error."""

from typing import Any

from flows.schedule import Report
from stages.core.run.errors import UserError

SUBJECT_CHARACTERS = 72
COMMIT_PREFIX = "nightly: "


class StagesFailed(UserError):
    """At least one stage failed; those that finished are recorded in dvc.lock."""


def rows_of(report: Report) -> list[dict[str, Any]]:
    """One row a stage: its name, what became of it, seconds; then the stages that could not run."""
    rows = [
        {"stage": name, "state": result.state, "seconds": round(result.seconds, 1)}
        for name, result in report.results.items()
    ]
    return [*rows, *({"stage": name, "state": "skipped", "seconds": None} for name in report.skipped)]


def headline(report: Report) -> str:
    """For example "12 stages ran, 1 failed (segmentation@pin_tray), 3 skipped"."""
    parts = [f"{len(report.ran)} stage{'' if len(report.ran) == 1 else 's'} ran"]
    if report.faults:
        parts.append(f"{len(report.faults)} failed ({', '.join(sorted(report.faults))})")
    if report.skipped:
        parts.append(f"{len(report.skipped)} skipped")
    return ", ".join(parts)


def raise_for_faults(report: Report) -> None:
    """Raises:
    StagesFailed: with the fault of each stage that failed, and what was left out because of it.
    """
    if report.faults:
        faults = [fault.message for _, fault in sorted(report.faults.items())]
        left = [f"not run, as they need it: {', '.join(report.skipped)}"] if report.skipped else []
        raise StagesFailed("\n".join([headline(report), *faults, *left, "a rerun starts with what is left"]))


def commit_message(report: Report) -> str:
    """The subject says how many stages ran; the body lists them with their seconds, and what else is to be known."""
    subject = f"{COMMIT_PREFIX}{headline(report)}"
    if len(subject) > SUBJECT_CHARACTERS:
        counts = f"{len(report.ran)} ran, {len(report.faults)} failed, {len(report.skipped)} skipped"
        subject = f"{COMMIT_PREFIX}{counts}"
    lines = [f"{row['stage']}: {row['state']}" + _seconds(row["seconds"]) for row in rows_of(report)]
    return "\n".join([subject, "", *report.remarks, *lines])


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f", {seconds:.1f} s"
