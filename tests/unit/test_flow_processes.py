"""Commands end with the flow, locks end with their process, and slots name the GPUs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.clone_lock import LOCK_FILE, dead_holder, hold_clone
from flows.commands import checked, run
from flows.process_group import kill_group, living_members
from flows.slots import Device, make_slots, occupied_device, visible_gpus
from flows.stop_switch import Stopped, StopSwitch
from stages.core.run.errors import UserError

ROOT = Path(__file__).parents[2]
# A command that starts another through a shell, as a stage with `a && b` would; both write their ids.
FAMILY = "echo $$ > parent; sh -c 'echo $$ > child; sleep 600' && true"


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def written_id(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_lines_come_as_they_are_printed(tmp_path: Path) -> None:
    lines: list[str] = []
    finished = run(
        ["sh", "-c", "echo one; echo two >&2; printf 'a\\rb'; exit 3"], folder=tmp_path, on_line=lines.append
    )
    assert lines == ["one", "two", "a", "b"]
    assert (finished.code, finished.text, finished.timed_out) == (3, "one\ntwo\na\nb", False)


def test_a_signal_is_told_as_a_shell_does(tmp_path: Path) -> None:
    assert run(["sh", "-c", "kill -9 $$"], folder=tmp_path, on_line=lambda line: None).code == 137


def test_a_time_limit_ends_the_command_and_what_it_started(tmp_path: Path) -> None:
    started = time.monotonic()
    finished = run(["sh", "-c", FAMILY], folder=tmp_path, on_line=lambda line: None, timeout=2)
    assert finished.timed_out
    assert time.monotonic() - started < 30
    for name in ("parent", "child"):  # a killed process takes a moment to go
        wait_for(lambda name=name: not is_alive(written_id(tmp_path / name)))  # type: ignore[misc]


def test_a_run_that_is_broken_off_has_no_process_left_when_its_command_returns(tmp_path: Path) -> None:
    stop = StopSwitch()
    breaking = threading.Thread(target=lambda: (written_id(tmp_path / "child"), stop.press()))
    breaking.start()
    with pytest.raises(Stopped):
        run(["sh", "-c", FAMILY], folder=tmp_path, on_line=lambda line: None, stop=stop)
    breaking.join()
    assert not any(is_alive(written_id(tmp_path / name)) for name in ("parent", "child"))
    with pytest.raises(Stopped):
        run(["touch", "started"], folder=tmp_path, on_line=lambda line: None, stop=stop)
    assert not (tmp_path / "started").exists()


# Four processes, 100 MB each: the kernel takes a moment to free them before it closes the files of the dead.
LARGE_FAMILY = """
import os, pathlib, time
os.fork(), os.fork()
memory = b"x" * 100_000_000
pathlib.Path(str(os.getpid())).touch()
time.sleep(600)
"""


def test_a_killed_group_is_gone_when_the_kill_returns(tmp_path: Path) -> None:
    leader = subprocess.Popen([sys.executable, "-c", LARGE_FAMILY], cwd=tmp_path, process_group=0)
    other = subprocess.Popen(["sleep", "600"], process_group=0)
    try:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 4)
        assert set(living_members(leader.pid)) == {int(path.name) for path in tmp_path.iterdir()}
        kill_group(leader.pid)
        assert not list(living_members(leader.pid))
        assert list(living_members(other.pid)) == [other.pid]
        assert leader.wait() == -signal.SIGKILL
        kill_group(leader.pid)  # nothing to kill is no error
    finally:
        other.kill()
        other.wait()


def test_a_line_can_start_the_time_anew(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo next; sleep 1; echo done"]
    finished = run(command, folder=tmp_path, on_line=lambda line: None, timeout=300, clock=lambda line: 0.1)
    assert finished.timed_out
    assert finished.tail == ("next",)


def test_nothing_survives_the_flow(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from flows.commands import run; run(['sh', '-c', {FAMILY!r}], folder=Path('.'), on_line=print)"  # noqa: E501
    flow = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        family = [written_id(tmp_path / "parent"), written_id(tmp_path / "child")]
        assert all(is_alive(process) for process in family)
    finally:
        flow.kill()
        flow.wait()
    wait_for(lambda: not any(is_alive(process) for process in family))


def test_a_short_command_that_fails_says_what_was_being_done(tmp_path: Path) -> None:
    assert checked(["echo", "yes"], folder=tmp_path, doing="asking") == "yes\n"
    with pytest.raises(UserError, match=r"asking failed: `sh -c echo no >&2; exit 1` in .* says: no"):
        checked(["sh", "-c", "echo no >&2; exit 1"], folder=tmp_path, doing="asking")


def test_a_short_command_that_hangs_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fetching failed: `sh -c .* took longer than 1 s and was stopped"):
        checked(["sh", "-c", FAMILY], folder=tmp_path, doing="fetching", timeout=1)
    for name in ("parent", "child"):
        wait_for(lambda name=name: not is_alive(written_id(tmp_path / name)))  # type: ignore[misc]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_one_run_holds_a_clone(clone: Path) -> None:
    with hold_clone(clone, flow_run_id="first") as before:
        assert before is None
        assert dead_holder(clone) is None
        with (
            pytest.raises(UserError, match=f"another run holds {clone} .process {os.getpid()} on"),
            hold_clone(clone, flow_run_id="second"),
        ):
            pass
    with hold_clone(clone, flow_run_id="third") as before:
        assert before is None


def test_a_killed_holder_leaves_its_record_and_no_lock(clone: Path) -> None:
    code = (
        "from pathlib import Path; from flows.clone_lock import hold_clone; import time\n"
        "with hold_clone(Path('.'), flow_run_id='dead'): Path('held').touch(); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=clone, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for((clone / "held").exists)
    assert dead_holder(clone) is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    record = dead_holder(clone)
    assert record is not None
    assert (record.flow_run_id, record.process) == ("dead", holder.pid)
    with hold_clone(clone, flow_run_id="next") as before:
        assert before == record
    assert dead_holder(clone) is None


def test_half_a_record_is_no_error(clone: Path) -> None:
    (clone / LOCK_FILE).parent.mkdir()
    (clone / LOCK_FILE).write_text('{"flow_run_id": "x", "ho')
    assert dead_holder(clone) is None
    with hold_clone(clone, flow_run_id=None) as before:
        assert before is None


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no clone of this repository"), hold_clone(tmp_path, flow_run_id=None):
        pass


@pytest.mark.parametrize(
    ("cpu", "gpu", "gpus", "slots", "devices"),
    [
        (None, None, [], 8, [("compute-0", None)]),
        (2, 3, [], 2, [("compute-0", None), ("compute-1", None), ("compute-2", None)]),
        (None, None, ["0", "1"], 8, [("gpu-0-0", "0"), ("gpu-1-0", "1")]),
        (None, 3, ["4", "7"], 8, [("gpu-4-0", "4"), ("gpu-7-0", "7"), ("gpu-4-1", "4")]),
        (None, 1, ["GPU-a", "GPU-b"], 8, [("gpu-GPU-a-0", "GPU-a")]),
    ],
)
def test_slots_follow_cores_and_gpus(
    cpu: int | None, gpu: int | None, gpus: list[str], slots: int, devices: list[tuple[str, str | None]]
) -> None:
    made = make_slots(cpu=cpu, gpu=gpu, gpus=gpus, cores=8)
    assert made.cpu == slots
    assert [(device.name, device.gpu) for device in made.devices] == devices


def test_no_slot_is_an_error() -> None:
    with pytest.raises(UserError, match="gpu_slots is 0"):
        make_slots(cpu=None, gpu=0, gpus=[], cores=1)


@pytest.mark.parametrize(("value", "gpus"), [("", []), ("-1", []), ("2,0", ["2", "0"]), (" 1 ", ["1"])])
def test_cuda_visible_devices_is_kept_to(monkeypatch: pytest.MonkeyPatch, value: str, gpus: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == gpus


def test_a_device_is_held_by_one_run_on_the_machine(tmp_path: Path) -> None:
    devices, stop = [Device("gpu-0-0", "0"), Device("gpu-1-0", "1")], StopSwitch()
    with occupied_device(tmp_path, devices, stop) as first, occupied_device(tmp_path, devices, stop) as second:
        assert (first.environment, second.environment) == ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"})
        threading.Timer(0.1, stop.press).start()
        with pytest.raises(Stopped), occupied_device(tmp_path, devices, stop):
            pass
    with occupied_device(tmp_path, devices, StopSwitch()) as again:
        assert again.name == "gpu-0-0"
