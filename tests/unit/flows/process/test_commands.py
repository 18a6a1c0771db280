"""Commands end with the flow, at a deadline, or when their run is interrupted, and so does all that they started."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flows.process.cancel import Cancelled, CancelToken
from flows.process.commands import checked, run
from stages.core.run.errors import UserError

ROOT = Path(__file__).parents[4]


def test_lines_come_as_they_are_printed(tmp_path: Path) -> None:
    lines: list[str] = []
    finished = run(
        ["sh", "-c", "echo one; echo two >&2; printf 'a\\rb'; exit 3"], folder=tmp_path, on_line=lines.append
    )
    assert lines == ["one", "two", "a", "b"]
    assert (finished.code, finished.text, finished.timed_out) == (3, "one\ntwo\na\nb", False)


def test_a_signal_has_the_code_that_a_shell_gives_it(tmp_path: Path) -> None:
    assert run(["sh", "-c", "kill -9 $$"], folder=tmp_path, on_line=lambda line: None).code == 137


def test_a_time_limit_ends_the_command_and_what_it_started(tmp_path: Path, family: Any, wait_for: Any) -> None:
    started = time.monotonic()
    finished = run(["sh", "-c", family.command], folder=tmp_path, on_line=lambda line: None, timeout=2)
    assert finished.timed_out
    assert time.monotonic() - started < 30
    wait_for(lambda: not family.alive())  # a killed process takes a moment to go


def test_an_interrupted_run_has_no_process_left(tmp_path: Path, family: Any) -> None:
    token = CancelToken()
    cancelling = threading.Thread(target=lambda: (family.id_of("child"), token.cancel()))
    cancelling.start()
    with pytest.raises(Cancelled):
        run(["sh", "-c", family.command], folder=tmp_path, on_line=lambda line: None, token=token)
    cancelling.join()
    assert not family.alive()
    with pytest.raises(Cancelled):
        run(["touch", "started"], folder=tmp_path, on_line=lambda line: None, token=token)
    assert not (tmp_path / "started").exists()


def test_a_line_can_start_the_time_again(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo next; sleep 1; echo done"]
    finished = run(command, folder=tmp_path, on_line=lambda line: None, timeout=300, clock=lambda line: 0.1)
    assert finished.timed_out
    assert finished.tail == ("next",)


def test_nothing_survives_the_flow(tmp_path: Path, family: Any, wait_for: Any) -> None:
    code = (
        "from pathlib import Path; from flows.process.commands import run; "
        f"run(['sh', '-c', {family.command!r}], folder=Path('.'), on_line=print)"
    )
    flow = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        assert len(family.alive()) == 2
    finally:
        flow.kill()
        flow.wait()
    wait_for(lambda: not family.alive())


def test_a_short_command_that_fails_says_what_was_being_done(tmp_path: Path) -> None:
    assert checked(["echo", "yes"], folder=tmp_path, doing="asking") == "yes\n"
    with pytest.raises(UserError, match=r"asking failed: `sh -c echo no >&2; exit 1` in .* says: no"):
        checked(["sh", "-c", "echo no >&2; exit 1"], folder=tmp_path, doing="asking")


def test_a_short_command_that_hangs_is_stopped_with_what_it_started(tmp_path: Path, family: Any, wait_for: Any) -> None:
    with pytest.raises(UserError, match=r"fetching failed: `sh -c .* took longer than 1 s and was stopped"):
        checked(["sh", "-c", family.command], folder=tmp_path, doing="fetching", timeout=1)
    wait_for(lambda: not family.alive())
