"""A flow run's bond to the worker that started it: when the worker dies, the run dies, and with it its stages."""

import os
import select
import signal
import sys
import threading
from pathlib import Path

MARK = "PREFECT__FLOW_RUN_ID"  # a worker sets it for what it starts, not for itself


def die_with_worker() -> None:
    """Kill this process when the worker above it dies (Linux only; elsewhere, and without a worker, a no-op).

    Left alone, the run would go on where nobody can cancel it, while Prefect starts the next one.
    """
    if sys.platform != "linux" or MARK not in os.environ:
        return
    worker = find_worker()
    if worker is not None:
        handle = os.pidfd_open(worker)
        threading.Thread(target=_kill_after, args=[handle], name="die with the worker", daemon=True).start()


def find_worker() -> int | None:
    """The nearest process above this one that was not started for this run; None in a container of its own."""
    process = os.getppid()
    while process > 1:
        folder = Path(f"/proc/{process}")
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            status = (folder / "stat").read_text(encoding="utf-8")
        except OSError:  # it ended while we looked
            return None
        if not any(variable.startswith(f"{MARK}=".encode()) for variable in environment):
            return process
        process = int(status.rpartition(")")[2].split()[1])  # fields after the name: state, parent
    return None


def _kill_after(handle: int) -> None:
    select.select([handle], [], [])  # a process handle becomes readable when the process ends
    os.kill(os.getpid(), signal.SIGKILL)
