"""Which runs pass, and how the JSON of the comparison is read."""

import json
from typing import Any

import pytest

from commands.compare.rows import MetricRow, read_rows
from flows.dvc.batch import Fault
from flows.publish.verdict import judge_run
from flows.schedule.loop import Report
from stages.core.run.errors import UserError
from tests.table import violations

ROW: dict[str, Any] = {
    "category": "pin_tray", "method": "aecsad", "kind": "logical", "metric": "image_auroc", "old": 0.95, "new": 0.951,
    "difference": 0.001, "low": -0.01, "high": 0.012, "verdict": "noise",
}  # fmt: skip


def row(**changes: Any) -> MetricRow:
    return MetricRow(**{**ROW, **changes})


def test_a_run_with_all_metrics_and_no_drop_passes_also_if_nothing_ran() -> None:
    rows = [row(), row(verdict="gain"), row(verdict="added", old=None)]
    assert judge_run(rows, Report()).passed


def test_a_drop_is_named_in_percent() -> None:
    verdict = judge_run([row(), row(verdict="drop", new=0.9)], Report())
    assert verdict.reasons == ("1 metrics dropped significantly: pin_tray aecsad image_auroc logical 95.0 -> 90.0",)


def test_a_missing_metric_fails() -> None:
    verdict = judge_run([row(), row(verdict="missing", new=None)], Report())
    assert verdict.reasons == ("1 metrics of the baseline are missing: pin_tray aecsad image_auroc logical",)


@pytest.mark.parametrize("rows", [[], [row(new=None, verdict="missing")]])
def test_a_run_without_any_metric_fails(rows: list[MetricRow]) -> None:
    assert "there is no metric that could be judged" in judge_run(rows, Report()).reasons[0]


def test_failed_and_skipped_stages_and_other_problems_fail() -> None:
    report = Report(faults={"a": Fault("failed", "a broke")}, skipped=["b", "c"])
    reasons = judge_run([row()], report, problems=["not pushed"]).reasons
    assert reasons == ("a broke", "not run, as they need a stage that failed: b, c", "not pushed")


def test_a_long_list_is_cut() -> None:
    (reason,) = judge_run([row(verdict="drop")] * 12, Report()).reasons
    assert reason.startswith("12 metrics dropped")
    assert reason.endswith("and 2 more")


def test_rows_are_read_and_unknown_keys_ignored() -> None:
    assert list(read_rows(json.dumps({"rows": [{**ROW, "confidence": 0.95}]}))) == [row()]


def test_another_form_is_an_error() -> None:
    def check(text: str) -> None:
        with pytest.raises(UserError, match="wrote JSON of another form"):
            read_rows(text)

    assert violations(check, zip(["", "[]", '{"rows": [{"category": "x"}]}', '{"rows": 3}'])) == []
