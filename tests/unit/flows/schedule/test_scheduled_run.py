"""How a scheduled run ends: compared by the real command, judged, tagged, and always reported as an event."""

import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flows.dvc.batch import Fault
from flows.publish.verdict import compare
from flows.schedule.loop import Report
from flows.schedule.scheduled_run import RunOptions, compare_and_judge, emit_rejected_on_error, move_baseline
from stages.core.run.errors import UserError

ROOT = Path(__file__).parents[4]
IMAGES = {"normal": 200, "all": 200, "logical": 0, "structural": 200}
OLD = {"images": IMAGES, "image_auroc": {"all": 0.95}, "at_threshold": {"false_alarm_rate": 0.05}}
NEW = {"images": IMAGES, "image_auroc": {"all": 0.7}}


def commit(root: Path, metrics: dict[str, Any] | None) -> None:
    """Commit the metrics of a method on the product tray, and nothing else below metrics/."""
    file = root / "metrics/evaluation/tray.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"ours": metrics})) if metrics else file.unlink(missing_ok=True)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "metrics", "--allow-empty")


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments], cwd=root, check=True)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the clone has no stages of its own
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    analytics = false\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path, OLD)
    git(tmp_path, "tag", "baseline")
    return tmp_path


@pytest.fixture
def options(clone: Path) -> RunOptions:
    """Options that push to a remote that is not there."""
    return RunOptions(
        clone=clone, branch="main", git_remote="origin", push_git=True, dvc_remote=None, baseline="baseline",
        tolerance=2.0, files_address=None, retries=0, retry_delay_seconds=0.0,
    )  # fmt: skip


def test_the_real_command_is_understood(clone: Path) -> None:
    commit(clone, NEW)
    comparison = compare(clone, "baseline", "HEAD", tolerance=2.0)
    rows = {row.name: row for row in comparison.rows}
    assert rows["tray ours image_auroc all"].verdict == "drop"
    assert rows["tray ours image_auroc all"].difference == -0.25
    assert rows["tray ours false_alarm_rate normal"].verdict == "missing"
    assert rows["tray ours false_alarm_rate normal"].new is None
    assert "| tray | ours | all | image_auroc | 95.0 | 70.0 | -25.0 |" in comparison.markdown


def test_a_commit_without_any_metric_is_judged(clone: Path, options: RunOptions) -> None:
    commit(clone, None)
    report = Report(faults={"score@a": Fault("failed", "stage score@a failed")})
    comparison, verdict = compare_and_judge(options, report, ["not pushed"])
    fault, push, comparing, metrics = verdict.reasons
    assert (fault, push) == ("stage score@a failed", "not pushed")
    assert "HEAD: no evaluation below metrics/" in comparing
    assert metrics.startswith("there is no metric that could be judged")
    assert comparison.rows == ()


def test_a_tag_that_cannot_be_pushed_is_no_pass(options: RunOptions) -> None:
    verdict = move_baseline(options, Report(), logging.getLogger())
    assert not verdict.passed
    assert "the metrics pass, but the tag was not pushed" in verdict.reasons[0]


def test_a_run_that_ends_before_it_is_judged_counts_as_rejected(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[dict[str, Any]] = []
    monkeypatch.setattr("flows.publish.report.emit_event", lambda **event: events.append(event))
    with emit_rejected_on_error(clone):
        pass
    assert events == []
    with pytest.raises(UserError, match="a dirty tree"), emit_rejected_on_error(clone):
        raise UserError("a dirty tree")
    assert [(event["event"], event["payload"]["reasons"]) for event in events] == [
        ("oddpart.nightly.rejected", ["a dirty tree"])
    ]
    assert events[0]["resource"]["prefect.resource.name"] == str(clone)
