"""Run commands of DVC and git: lines go to a log as they come, and commands end with this process or at a deadline."""

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.process.cancel import CancelToken, kill_group
from flows.process.redact import redact
from stages.core.run.errors import UserError

SUPERVISOR = Path(__file__).with_name("supervisor.py")
KEPT_LINES = 60  # of the output, for error messages
OUTPUT_SECONDS = 10.0  # in which the output of a killed command ends
ENVIRONMENT = {"DVC_NO_ANALYTICS": "1", "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}

SHORT_SECONDS = 600.0  # for commands without a log: one that hangs, such as git at a dead remote, would hold the clone
GRACE_SECONDS = 10.0  # in which git deletes its lock files when it is asked to end

LOG = logging.getLogger(__name__)
Logger = logging.Logger | logging.LoggerAdapter[Any]  # Prefect's loggers of a run are adapters
Clock = Callable[[str], float | None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often a remote that does not answer is asked again, after how long, and where that is reported."""

    retries: int = 2
    delay_seconds: float = 60.0
    warn: Callable[[str], None] = LOG.warning


@dataclass(frozen=True)
class Finished:
    """How a command ended: its exit code, its last lines, and whether a deadline ended it."""

    code: int
    tail: tuple[str, ...]
    timed_out: bool = False

    @property
    def text(self) -> str:
        """The last lines as one text."""
        return "\n".join(self.tail)


def dvc(*arguments: str) -> list[str]:
    """Build a command of this environment's DVC.

    It waits for DVC's lock, else it would give up after 3 s while another process hashes.
    """
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]


def supervised(command: Sequence[str]) -> list[str]:
    """Wrap a command so that it ends with this process; to be started as the leader of a process group."""
    return [sys.executable, "-I", "-S", str(SUPERVISOR), str(os.getpid()), *command]


def run(
    command: Sequence[str],
    *,
    folder: Path,
    on_line: Callable[[str], None],
    timeout: float | None = None,
    clock: Clock = lambda line: None,
    environment: Mapping[str, str] | None = None,
    token: CancelToken | None = None,
) -> Finished:
    """Run a command under the supervisor and wait for it.

    Args:
        on_line: called with each line of its output, standard error included, as it comes, without passwords.
        timeout: seconds until it is killed with all it started; None waits for ever.
        clock: called with each line; a number of seconds starts the time again (the next stage of several began).
        environment: variables in addition to those of this process.
        token: ends the command as a deadline does.

    Raises:
        UserError: the program is not there.
        Cancelled: the token was cancelled.
    """
    token = token or CancelToken()
    token.check()
    tail: deque[str] = deque(maxlen=KEPT_LINES)
    deadline = _Deadline(timeout)
    whole = False
    with subprocess.Popen(
        supervised(command), cwd=folder, env={**os.environ, **ENVIRONMENT, **_python_first(), **(environment or {})},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
    ) as process:  # fmt: skip
        try:
            for line in _lines(process, deadline, token):
                if line is None:
                    break
                tail.append(line)
                on_line(line)
                seconds = clock(line)
                if seconds is not None:
                    deadline.set(seconds)
            else:
                whole = True
        finally:
            if not whole:
                kill_group(process.pid)
                _wait_for_the_end(process)
    if not whole:
        token.check()
    return Finished(process.wait(), tuple(tail), timed_out=not whole)


def checked(
    command: Sequence[str],
    *,
    folder: Path,
    doing: str,
    environment: Mapping[str, str] | None = None,
    timeout: float = SHORT_SECONDS,
) -> str:
    """Run a short command without a log and return what it printed.

    It does not die with this process: git is left to finish, as one killed within a commit leaves a lock file.

    Args:
        timeout: seconds until it is stopped with all it started.

    Raises:
        UserError: it failed or took too long; the message says what was being done and shows its error.
    """
    words = redact(f"`{' '.join(command)}` in {folder}")
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **ENVIRONMENT, **(environment or {})}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise UserError(f"{doing} failed: {words} took longer than {timeout:g} s and was stopped") from None
        finally:
            if process.returncode is None:
                _end_group(process)
    if process.returncode != 0:
        raise UserError(f"{doing} failed: {words} says: {redact((err or out).strip())}")
    return out


def _end_group(process: subprocess.Popen[str]) -> None:
    """Ask the process group that it leads to end, then make it."""
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    kill_group(process.pid)


def _python_first() -> dict[str, str]:
    """Make `python` in dvc.yaml the one that runs the flow, whatever started the worker."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


class _Deadline:
    """A moment that can be put off."""

    def __init__(self, seconds: float | None) -> None:
        self._moment = None if seconds is None else time.monotonic() + seconds

    def set(self, seconds: float) -> None:
        self._moment = time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Return the seconds that remain, at least 0; None for no deadline."""
        return None if self._moment is None else max(0.0, self._moment - time.monotonic())


def _wait_for_the_end(process: subprocess.Popen[bytes]) -> None:
    """Wait until nobody holds the other end of the output.

    A stage in a group of its own dies with its DVC; whoever gets the clone next must not meet it.
    """
    assert process.stdout is not None
    moment = time.monotonic() + OUTPUT_SECONDS
    while select.select([process.stdout], [], [], max(0.0, moment - time.monotonic()))[0]:
        if not os.read(process.stdout.fileno(), 65536):
            return


def _lines(process: subprocess.Popen[bytes], deadline: _Deadline, token: CancelToken) -> Iterator[str | None]:
    """Yield lines until the end of the output; None once the deadline has passed or the run is interrupted."""
    assert process.stdout is not None
    handle, rest = process.stdout.fileno(), b""
    while True:
        ready, _, _ = select.select([handle, token.fileno()], [], [], deadline.remaining())
        if not ready or token.fileno() in ready:
            yield None
            return
        chunk = os.read(handle, 65536)
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in [*lines, rest] if not chunk else lines:
            if line.strip():
                yield redact(line.decode(errors="replace").rstrip())
        if not chunk:
            return
