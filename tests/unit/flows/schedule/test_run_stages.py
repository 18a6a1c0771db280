"""A plan run with a stand-in for Prefect's task."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows.dvc.pipeline import Pipeline
from flows.process.cancel import Cancelled, CancelToken
from flows.schedule import run_stages
from flows.schedule.loop import Report
from flows.schedule.plan import Stage, make_plan
from flows.site.slots import make_slots
from stages.core.run.errors import UserError


class EndlessStage:
    """In the place of Prefect's task: a stage that takes 20 s unless it is cancelled."""

    def __init__(self) -> None:
        self.pool, self.ends = ThreadPoolExecutor(), list[Future[None]]()

    def with_options(self, **options: Any) -> "EndlessStage":
        return self

    def submit(self, label: str, batch: Any, limits: Any, settings: Any, token: CancelToken, collect: Any) -> Any:
        end = self.pool.submit(token.check, seconds=20)
        end.wait = end.result  # type: ignore[attr-defined]
        self.ends.append(end)
        return end


def test_a_worker_with_a_shard_halves_no_batch_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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

    def run_schedule(plan: Any, slots: Any, executor: Any) -> None:
        for name in plan.stages:
            executor.start(run_stages.Batch((name,), "cpu"))
        raise error

    monkeypatch.setattr(run_stages, "run_schedule", run_schedule)
    settings = run_stages.Settings(tmp_path, make_slots(cpu=2, gpu=1, gpus=[], cores=2), 720, 0, 0)
    plan = make_plan({"a": Stage("a"), "b": Stage("b")}, ["a", "b"])
    with pytest.raises(error):
        run_stages.run_plan(plan, settings, logging.getLogger())
    assert [type(end.exception(timeout=0)) for end in stage.ends] == [Cancelled, Cancelled]
