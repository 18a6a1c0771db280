"""Which runs pass, what their commit says, and how the evaluation room's JSON is read."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from flows.batch import StageResult
from flows.comparison import MetricRow, read_rows
from flows.faults import Fault
from flows.judge import judge
from flows.publish import INLINE_BYTES, artifact_key, data_url, pictures_of
from flows.schedule import Report
from flows.summary import StagesFailed, commit_message, headline, raise_for_faults
from stages.core.running.errors import UserError

ROW: dict[str, Any] = {
    "category": "pin_tray", "method": "aecsad", "kind": "logical", "metric": "image_auroc", "old": 0.95, "new": 0.951,
    "difference": 0.001, "low": -0.01, "high": 0.012, "verdict": "noise",
}  # fmt: skip


def row(**changes: Any) -> MetricRow:
    return MetricRow(**{**ROW, **changes})


def test_a_run_with_all_metrics_and_no_drop_passes_also_if_nothing_ran() -> None:
    rows = [row(), row(verdict="gain"), row(verdict="added", old=None)]
    assert judge(rows, Report()).passed


def test_a_drop_is_named_in_percent() -> None:
    verdict = judge([row(), row(verdict="drop", new=0.9)], Report())
    assert verdict.reasons == ("1 metrics dropped significantly: pin_tray aecsad image_auroc logical 95.0 -> 90.0",)


def test_a_missing_metric_fails() -> None:
    verdict = judge([row(), row(verdict="missing", new=None)], Report())
    assert verdict.reasons == ("1 metrics of the baseline are missing: pin_tray aecsad image_auroc logical",)


@pytest.mark.parametrize("rows", [[], [row(new=None, verdict="missing")]])
def test_a_run_without_any_metric_fails(rows: list[MetricRow]) -> None:
    assert "there is no metric that could be judged" in judge(rows, Report()).reasons[0]


def test_failed_and_skipped_stages_and_other_problems_fail() -> None:
    report = Report(faults={"a": Fault("failed", "a broke")}, skipped=["b", "c"])
    reasons = judge([row()], report, problems=["not pushed"]).reasons
    assert reasons == ("a broke", "not run, as they need a stage that failed: b, c", "not pushed")


def test_a_long_list_is_cut() -> None:
    (reason,) = judge([row(verdict="drop")] * 12, Report()).reasons
    assert reason.startswith("12 metrics dropped")
    assert reason.endswith("and 2 more")


def test_rows_are_read_and_unknown_keys_left_out() -> None:
    assert list(read_rows(json.dumps({"rows": [{**ROW, "confidence": 0.95}]}))) == [row()]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{"category": "x"}]}', '{"rows": 3}'])
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="wrote JSON of another form"):
        read_rows(text)


REPORT = Report(
    results={"a@x": StageResult("ran", 61.23), "b@x": StageResult("cached", 0.5), "c@x": StageResult("failed", 2)},
    faults={"c@x": Fault("failed", "stage c@x failed")}, skipped=["d@x"], remarks=["params.yaml: n 8 -> 4"],
)  # fmt: skip


def test_the_commit_message_says_what_ran() -> None:
    assert commit_message(REPORT).splitlines() == [
        "nightly: 2 stages ran, 1 failed (c@x), 1 skipped", "", "params.yaml: n 8 -> 4", "a@x: ran, 61.2 s",
        "b@x: cached, 0.5 s", "c@x: failed, 2.0 s", "d@x: skipped",
    ]  # fmt: skip


def test_a_long_subject_is_shortened() -> None:
    many = Report(faults={f"segmentation@product_{i}": Fault("failed", "") for i in range(9)})
    assert commit_message(many).splitlines()[0] == "nightly: 0 ran, 9 failed, 0 skipped"


def test_the_error_names_every_fault_and_what_to_do() -> None:
    with pytest.raises(StagesFailed, match=r"(?s)stage c@x failed\nnot run, as they need it: d@x\na rerun starts"):
        raise_for_faults(REPORT)
    raise_for_faults(Report())
    assert headline(Report()) == "0 stages ran"


def test_pictures_come_with_the_page_unless_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    assert data_url(tmp_path / "a.jpg") == "data:image/jpeg;base64," + base64.b64encode(b"abc").decode()
    (tmp_path / "a.jpg").write_bytes(bytes(INLINE_BYTES + 1))
    assert data_url(tmp_path / "a.jpg") is None
    assert pictures_of(["a/b.jpg", "a/b.json", "c.svg"]) == ["a/b.jpg", "c.svg"]


def test_keys_of_artifacts() -> None:
    assert artifact_key("metrics/plots/aecsad/Pin_tray/overview.jpg") == "metrics-plots-aecsad-pin-tray-overview"
