"""A stage dies with its DVC and a flow run with its worker, whatever stands between; neither with anybody else."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core.run.parent import WORKER_MARK, die_with_dvc, die_with_worker, find_dvc, find_starter

ROOT = Path(__file__).parents[4]
STAGE = """
import sys, time
from pathlib import Path
from stages.core.run.parent import die_with_dvc
die_with_dvc()
Path(sys.argv[1]).touch()
time.sleep(60)
"""
DVC = """
import os, subprocess, sys
shell = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"]
subprocess.call([*shell, sys.executable, *sys.argv[1:]], env={**os.environ, "DVC_STAGE": "train"})
"""
RUN = """
import sys, time
from pathlib import Path
from stages.core.run.parent import die_with_worker
die_with_worker()
Path(sys.argv[1]).touch()
time.sleep(60)
"""
WORKER = f"""
import os, subprocess, sys
runner = [sys.executable, "-c", "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"]
subprocess.call([*runner, sys.executable, *sys.argv[1:]], env={{**os.environ, {WORKER_MARK!r}: "x"}})
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the watch needs Linux's process handles")


def test_without_dvc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    threads = threading.active_count()
    die_with_dvc()
    assert threading.active_count() == threads


def test_a_stage_whose_dvc_is_gone_ends_at_once(tmp_path: Path) -> None:
    orphan = subprocess.run(
        [sys.executable, "-c", STAGE, str(tmp_path / "started")],
        env={"DVC_STAGE": "train", "PYTHONPATH": str(ROOT)}, check=False, timeout=30,
        capture_output=True, text=True,
    )  # fmt: skip
    assert orphan.returncode == 1
    assert orphan.stderr == "the `dvc` command that started this stage has ended: stopping\n"
    assert not (tmp_path / "started").exists()


@pytest.fixture
def dvc(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process named dvc that has started a stage through another process, as it does through some shells."""
    (tmp_path / "dvc").write_text(textwrap.dedent(DVC), encoding="utf-8")
    (tmp_path / "stage.py").write_text(STAGE, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "dvc", str(tmp_path / "stage.py"), str(tmp_path / "started")],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    yield process
    process.kill()


def test_a_stage_dies_with_dvc_though_a_shell_is_between(dvc: subprocess.Popen[bytes], tmp_path: Path) -> None:
    wait_until((tmp_path / "started").exists)
    stages = processes_with(str(tmp_path / "started"))
    assert len(stages) == 3  # dvc, what stands between, the stage
    dvc.kill()
    dvc.wait()
    wait_until(lambda: not processes_with(str(tmp_path / "started")))


def test_a_run_dies_with_its_worker_though_a_runner_is_between(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != WORKER_MARK}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path / "run.py"), str(tmp_path / "started")],
        cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        wait_until((tmp_path / "started").exists)
        assert len(processes_with(str(tmp_path / "started"))) == 3  # the worker, the runner, the run
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: not processes_with(str(tmp_path / "started")))


def test_without_a_worker_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKER_MARK, raising=False)
    threads = threading.active_count()
    die_with_worker()
    assert threading.active_count() == threads
    assert find_starter(WORKER_MARK) == os.getppid()  # nothing above the tests carries the mark


def test_dvc_is_not_found_where_there_is_none() -> None:
    assert find_dvc() is None  # the tests' own parents are not DVC


def wait_until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def processes_with(argument: str) -> list[int]:
    """Ids of living processes with that command line argument."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if argument.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
