"""Flow `reproduce` on the toy pipeline, with a real DVC and a real Prefect server."""

import time
from pathlib import Path

import pytest

from flows.publish.report import StagesFailed
from flows.reproduce import reproduce
from flows.site.clone import hold_clone
from stages.core.run.errors import UserError
from tests.flows.task_runs import runs_of
from tests.flows.toy import Toy

pytestmark = [pytest.mark.usefixtures("prefect"), pytest.mark.timeout(300)]
QUICK = {"cpu_slots": 2, "gpu_slots": 2, "retry_delay_seconds": 0}


def test_only_what_changed_runs_each_stage_with_its_gpu(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")  # no machine here has it, and none is asked
    assert reproduce(["train@a"]) == "2 stages ran"
    assert toy.gpus_seen() == {"prepare@a": "", "train@a": "3"}
    assert reproduce(**QUICK) == "2 stages ran"
    assert toy.gpus_seen() == {"score@a": "", "report": ""}
    assert toy.value("report") == 71
    assert toy.dvc("status").strip().endswith("Data and pipelines are up to date.")
    assert reproduce(**QUICK) == "0 stages ran"
    assert toy.started() == set()


def test_a_failed_stage_keeps_the_rest_going(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 50}})
    fault = toy.control("train@a.print", "images/3.png is truncated")
    with pytest.raises(StagesFailed, match=r"(?s)1 failed \(train@a\), 2 skipped.*images/3.png is truncated.*score@a"):
        reproduce(**QUICK)
    assert toy.started() == {"prepare@a", "train@a", "prepare@b", "train@b", "score@b"}
    fault.unlink()
    assert reproduce(**QUICK) == "3 stages ran"
    assert toy.started() == {"train@a", "score@a", "report"}
    assert toy.value("report") == 90


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
    assert runs_of("train@a", flow="reproduce") == 2
    toy.control("train@a.print", "ValueError: a bug")
    with pytest.raises(StagesFailed, match="ValueError: a bug"):
        reproduce(["train@a"], retries=1, **QUICK)
    assert runs_of("train@a", flow="reproduce") == 1
    (toy.root / "control/train@a.print").unlink()
    toy.control("report.once", "ConnectionError: the registry is away")
    assert reproduce(retries=1, **QUICK) == "3 stages ran"  # score@a did in the attempt in which the report failed


def test_a_stage_over_its_time_is_stopped(toy: Toy) -> None:
    toy.set_params(categories={"a": {"value": 40}, "b": {"value": 31}})
    toy.control("prepare@a.sleep", "600")
    started = time.monotonic()
    with pytest.raises(StagesFailed, match=r"stage prepare@a: stopped, it took longer than its limit"):
        reproduce(["prepare"], stage_timeout_minutes=0.01, **QUICK)
    assert time.monotonic() - started < 120


def test_a_clone_is_held_by_one_run(toy: Toy) -> None:
    with hold_clone(toy.root, flow_run_id=None), pytest.raises(UserError, match="another run holds"):
        reproduce(**QUICK)


def test_a_folder_without_pipeline_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ODDPART_CLONE", str(tmp_path))
    with pytest.raises(UserError, match=r"has no dvc.yaml: start in a clone"):
        reproduce(**QUICK)
