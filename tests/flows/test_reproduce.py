"""Flow `reproduce` on the toy pipeline, with a real DVC and a real Prefect server."""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows import run_stages
from flows.clone_lock import hold_clone
from flows.pipeline import Pipeline, read_pipeline
from flows.plan import Stage, make_plan
from flows.reproduce import reproduce
from flows.schedule import Report
from flows.slots import make_slots
from flows.stop_switch import Stopped, StopSwitch
from flows.summary import StagesFailed
from stages.core.running.errors import UserError
from tests.flows.task_runs import runs_of
from tests.flows.toy import Toy

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(300)]
QUICK = {"cpu_slots": 2, "gpu_slots": 2, "retry_delay_seconds": 0}


def test_the_pipeline_is_read_as_dvc_sees_it(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    pipeline = read_pipeline(toy.root)
    assert pipeline.changed == {"prepare@a", "train@a", "score@a"}
    train = pipeline.stages["train@a"]
    assert (train.resource, train.needs, train.seconds) == ("gpu", {"prepare@a"}, 0.1)
    assert (train.recorded, pipeline.stages["report"].recorded) == ((), ("metrics/cost.json",))
    assert train.params == {"categories.a", "profiles/toy.yaml:net"}
    assert (train.batch_size, train.timeout_minutes) == ("profiles/toy.yaml:net.batch_size", None)
    assert pipeline.stages["report"].needs == pipeline.stages.keys() - {"report"}  # it tells what each cost


def test_missing_data_is_no_change_where_it_lies_elsewhere(toy: Toy) -> None:
    (toy.root / "artifacts/train@a.txt").unlink()
    assert read_pipeline(toy.root).changed == {"train@a", "score@a"}
    assert read_pipeline(toy.root, data_elsewhere=True).changed == set()
    toy.set_params(categories={"a": {"value": 30}, "b": {"value": 30}})
    assert read_pipeline(toy.root, data_elsewhere=True).changed == {"prepare@b", "train@b", "score@b"}


def test_only_what_changed_runs_and_a_second_run_runs_nothing(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    assert reproduce(**QUICK) == "4 stages ran"
    assert toy.started() == {"prepare@a", "train@a", "score@a", "report"}
    assert toy.value("report") == 71
    assert toy.dvc("status").strip().endswith("Data and pipelines are up to date.")
    assert reproduce(**QUICK) == "0 stages ran"
    assert toy.started() == set()


def test_a_failed_stage_keeps_the_rest_going_and_a_rerun_runs_only_what_is_left(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 50}})
    fault = toy.control("train@a.print", "images/3.png is truncated")
    with pytest.raises(StagesFailed, match=r"(?s)1 failed \(train@a\), 2 skipped.*images/3.png is truncated.*score@a"):
        reproduce(**QUICK)
    assert toy.started() == {"prepare@a", "train@a", "prepare@b", "train@b", "score@b"}
    fault.unlink()
    assert reproduce(**QUICK) == "3 stages ran"
    assert toy.started() == {"train@a", "score@a", "report"}
    assert toy.value("report") == 90


def test_a_gpu_stage_sees_the_gpu_of_its_slot_and_a_cpu_stage_none(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")  # no machine here has it, and none is asked
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    reproduce(["train@a"])
    assert toy.gpus_seen() == {"prepare@a": "", "train@a": "3"}


@pytest.mark.faults
def test_out_of_gpu_memory_halves_the_batch_for_all_and_says_so(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    (toy.root / "profiles/toy.yaml").write_text("net: {batch_size: 6}\n")
    toy.git("commit", "-qam", "smaller batches")
    toy.control("train@b.memory")
    reproduce(**QUICK)
    assert "profiles/toy.yaml: net.batch_size 6 -> 3" in caplog.text
    assert (toy.root / "profiles/toy.yaml").read_text() == "net: {batch_size: 3}\n"
    assert {"train@a", "train@b"} <= toy.started()
    assert toy.dvc("status").strip().endswith("Data and pipelines are up to date.")  # a, too, has run with 3


@pytest.mark.faults
def test_a_transient_fault_is_tried_again_and_another_is_not(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    toy.control("train@a.print", "ConnectionError: the registry is away")
    with pytest.raises(StagesFailed, match="the network or the remote did not answer"):
        reproduce(["train"], retries=1, **QUICK)
    assert runs_of("train@a") == 2
    toy.control("train@a.print", "ValueError: a bug")
    with pytest.raises(StagesFailed, match="ValueError: a bug"):
        reproduce(["train@a"], retries=1, **QUICK)
    assert runs_of("train@a") == 1
    (toy.root / "control/train@a.print").unlink()
    toy.control("report.once", "ConnectionError: the registry is away")
    assert reproduce(retries=1, **QUICK) == "3 stages ran"  # score@a did in the attempt in which the report failed


def test_a_stage_over_its_time_is_stopped(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    toy.control("prepare@a.sleep", "600")
    started = time.monotonic()
    with pytest.raises(StagesFailed, match=r"stage prepare@a: stopped, it took longer than its limit"):
        reproduce(["prepare"], stage_timeout_minutes=0.03, **QUICK)
    assert time.monotonic() - started < 120


def test_a_clone_is_held_by_one_run(toy: Toy) -> None:
    with hold_clone(toy.root, flow_run_id=None), pytest.raises(UserError, match="another run holds"):
        reproduce(**QUICK)


def test_a_folder_without_pipeline_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ODDPART_CLONE", str(tmp_path))
    with pytest.raises(UserError, match=r"has no dvc.yaml: start in a clone"):
        reproduce(**QUICK)


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
