"""How a process ends: orderly on SIGTERM, and with the process that started it (the latter on Linux only).

A stage dies with the DVC that started it, a flow run with its Prefect worker.

Both start processes through others, a shell or a runner, which may outlive them, so the kernel's parent-death signal
would not do. What they start carries a variable that they do not have themselves: the nearest process above this one
without it is DVC, or the worker.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DVC_MARK = "DVC_STAGE"  # holds the name of the stage instance
WORKER_MARK = "PREFECT__FLOW_RUN_ID"


@contextmanager
def unwinding_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C does, so that temporary files go; the exit code is 143, as shells have it.

    Outside of the main thread, where no signal arrives, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def die_with_dvc() -> None:
    """Kill this process when the DVC above it dies; do nothing without DVC.

    The imports before this call take seconds; if DVC was killed meanwhile, the process ends at once.

    Raises:
        SystemExit: no `dvc` command is above this process any more.
    """
    if sys.platform != "linux" or DVC_MARK not in os.environ:
        return
    dvc = find_dvc()
    handle = None if dvc is None else _handle_of(dvc)
    if handle is None or find_dvc() != dvc:  # the second look: its number may have been given to another process
        sys.exit("the `dvc` command that started this stage has ended: stopping")
    _die_with(handle, "DVC")


def die_with_worker() -> None:
    """Kill this process when the Prefect worker above it dies; do nothing without a worker.

    Left alone, the run would continue where nobody can cancel it, while Prefect starts the next one.
    """
    if sys.platform != "linux" or WORKER_MARK not in os.environ:
        return
    worker = find_starter(WORKER_MARK)
    handle = None if worker is None else _handle_of(worker)
    if handle is not None:
        _die_with(handle, "the worker")


def find_dvc() -> int | None:
    """Return the id of the process that started this stage, if that is DVC."""
    process = find_starter(DVC_MARK)
    try:
        command = b"" if process is None else Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it ended while we looked
        return None
    return process if "dvc" in {Path(os.fsdecode(word)).name for word in command.split(b"\0")} else None


def find_starter(mark: str) -> int | None:
    """Return the id of the nearest process above this one whose environment lacks the variable `mark`.

    None where there is none, or where it may not be seen: in a container of its own.
    """
    process = os.getppid()
    while process > 0:
        folder = Path(f"/proc/{process}")
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            status = (folder / "stat").read_text(encoding="utf-8")
        except OSError:  # it ended while we looked
            return None
        if not any(variable.startswith(f"{mark}=".encode()) for variable in environment):
            return process
        process = int(status.rpartition(")")[2].split()[1])  # fields after the name: state, parent
    return None


def _handle_of(process: int) -> int | None:
    try:
        return os.pidfd_open(process)
    except ProcessLookupError:
        return None


def _die_with(handle: int, name: str) -> None:
    threading.Thread(target=_kill_after, args=[handle], name=f"die with {name}", daemon=True).start()


def _kill_after(handle: int) -> None:
    select.select([handle], [], [])  # a process handle becomes readable when the process ends
    os.kill(os.getpid(), signal.SIGKILL)
