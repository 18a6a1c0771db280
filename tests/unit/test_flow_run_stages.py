"""A plan run with a stand-in for Prefect's task."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows import run_stages
from flows.pipeline import Pipeline
from flows.plan import Stage, make_plan
from flows.schedule import Report
from flows.slots import make_slots
from flows.stop_switch import Stopped, StopSwitch
from stages.core.run.errors import UserError


class EndlessStage:
    """In the place of Prefect's task: a stage that takes 20 s unless it is stopped."""

    def __init__(self) -> None:
        self.pool, self.ends = ThreadPoolExecutor(), list[Future[None]]()

    def with_options(self, **options: Any) -> "EndlessStage":
        return self

    def submit(self, label: str, batch: Any, limits: Any, settings: Any, stop: StopSwitch, tell: Any) -> Any:
        end = self.pool.submit(stop.check, seconds=20)
        end.wait = end.result  # type: ignore[attr-defined]
        self.ends.append(end)
        return end


def test_a_worker_with_a_part_halves_no_batch_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pipeline = Pipeline({"a": Stage("a", batch_size="n"), "b": Stage("b")}, frozenset("ab"))
    monkeypatch.setattr(run_stages, "read_pipeline", lambda clone: pipeline)
    planned = []
    monkeypatch.setattr(run_stages, "run_plan", lambda plan, *others: planned.append(plan) or Report())
    for halving in (True, False):
        settings = run_stages.Settings(tmp_path, make_slots(cpu=2, gpu=1, gpus=[], cores=2), 720, 0, 0, halving)
        run_stages.reproduce_clone(settings, [], logging.getLogger())
    assert [plan.stages["a"].batch_size for plan in planned] == ["n", None]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError])
def test_a_run_that_is_left_early_leaves_no_stage_running(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = EndlessStage()
    monkeypatch.setattr(run_stages, "run_stages", stage)

    def drive(plan: Any, slots: Any, machine: Any) -> None:
        for name in plan.stages:
            machine.start(run_stages.Batch((name,), "cpu"))
        raise error

    monkeypatch.setattr(run_stages, "drive", drive)
    settings = run_stages.Settings(tmp_path, make_slots(cpu=2, gpu=1, gpus=[], cores=2), 720, 0, 0)
    plan = make_plan({"a": Stage("a"), "b": Stage("b")}, ["a", "b"])
    with pytest.raises(error):
        run_stages.run_plan(plan, settings, logging.getLogger())
    assert [type(end.exception(timeout=0)) for end in stage.ends] == [Stopped, Stopped]
