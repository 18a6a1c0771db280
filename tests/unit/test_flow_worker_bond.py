"""A run dies with the worker above it, whatever stands between, and with nobody else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.worker_bond import MARK, die_with_worker, find_worker

ROOT = Path(__file__).parents[2]
RUN = "import time; from pathlib import Path; from flows.worker_bond import die_with_worker; die_with_worker(); Path('up').touch(); time.sleep(600)"  # noqa: E501
RUNNER = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {RUN!r}])"
WORKER = f"import os, subprocess, sys; subprocess.call([sys.executable, '-c', {RUNNER!r}], env={{**os.environ, {MARK!r}: 'x'}})"  # noqa: E501
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bond needs Linux's process handles")


def runs_in(folder: Path) -> set[int]:
    """Living processes in a folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and "Z" not in (process / "stat").read_text().rsplit(")", 1)[1][
                :3
            ]:
                found.add(int(process.name))
        except OSError:
            continue
    return found


def test_a_run_dies_with_its_worker_though_a_runner_is_between(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != MARK} | {"PYTHONPATH": str(ROOT)}
    worker = subprocess.Popen([sys.executable, "-c", WORKER], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 60
    while not (tmp_path / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(runs_in(tmp_path)) == 3
    worker.kill()
    worker.wait()
    while runs_in(tmp_path):
        assert time.monotonic() < deadline, runs_in(tmp_path)
        time.sleep(0.05)


def test_without_a_worker_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MARK, raising=False)
    die_with_worker()
    caller = os.getppid()  # of the tests: nobody is bound to it without the mark
    assert find_worker() == (caller if caller > 1 else None)
