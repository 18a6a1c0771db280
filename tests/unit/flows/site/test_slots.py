"""Slots name the GPUs, and one run of the machine holds each."""

import threading
from pathlib import Path

import pytest

from flows.process.cancel import Cancelled, CancelToken
from flows.site.slots import Device, make_slots, occupied_device, slots_folder, visible_gpus
from stages.core.run.errors import UserError
from tests.table import violations


def test_slots_follow_cores_and_gpus() -> None:
    def check(
        cpu: int | None, gpu: int | None, gpus: list[str], slots: int, devices: list[tuple[str, str | None]]
    ) -> None:
        made = make_slots(cpu=cpu, gpu=gpu, gpus=gpus, cores=8)
        assert made.cpu == slots
        assert [(device.name, device.gpu) for device in made.devices] == devices

    rows = [
        (None, None, [], 8, [("compute-0", None)]),
        (2, 3, [], 2, [("compute-0", None), ("compute-1", None), ("compute-2", None)]),
        (None, None, ["0", "1"], 8, [("gpu-0-0", "0"), ("gpu-1-0", "1")]),
        (None, 3, ["4", "7"], 8, [("gpu-4-0", "4"), ("gpu-7-0", "7"), ("gpu-4-1", "4")]),
        (None, 1, ["GPU-a", "GPU-b"], 8, [("gpu-GPU-a-0", "GPU-a")]),
    ]
    assert violations(check, rows) == []


def test_no_slot_is_an_error() -> None:
    with pytest.raises(UserError, match="gpu_slots is 0"):
        make_slots(cpu=None, gpu=0, gpus=[], cores=1)


def test_cuda_visible_devices_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(value: str, gpus: list[str]) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert visible_gpus() == gpus

    rows = [("", []), ("-1", []), ("2,0", ["2", "0"]), (" 1 ", ["1"])]
    assert violations(check, rows) == []


def test_a_device_is_held_by_one_run_on_the_machine(tmp_path: Path) -> None:
    devices, token = [Device("gpu-0-0", "0"), Device("gpu-1-0", "1")], CancelToken()
    with occupied_device(tmp_path, devices, token) as first, occupied_device(tmp_path, devices, token) as second:
        assert (first.environment, second.environment) == ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"})
        threading.Timer(0.1, token.cancel).start()
        with pytest.raises(Cancelled), occupied_device(tmp_path, devices, token):
            pass
    with occupied_device(tmp_path, devices, CancelToken()) as again:
        assert again.name == "gpu-0-0"


def test_locks_lie_where_no_other_user_can_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ODDPART_SLOTS", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("socket.gethostname", lambda: "one")
    folder = slots_folder()
    assert folder == tmp_path / "home/.local/state/oddpart/slots/one"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert slots_folder().stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert slots_folder() == tmp_path / "state/oddpart/slots/one"
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    with pytest.raises(UserError, match="name one in ODDPART_SLOTS"):
        slots_folder()
    monkeypatch.setenv("ODDPART_SLOTS", "/named")
    assert slots_folder() == Path("/named")
