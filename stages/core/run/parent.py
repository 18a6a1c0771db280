"""A stage's bond to the DVC process that started it: when DVC dies, the stage dies."""

import os
import select
import signal
import sys
import threading
from pathlib import Path

MARK = b"DVC_STAGE="  # DVC sets it in the environment of what it starts, not in its own


def die_with_dvc() -> None:
    """Kill this process when the DVC above it dies (Linux only; elsewhere, and without DVC, a no-op).

    The kernel's parent-death signal would not do: `/bin/sh` stays between DVC and the stage on some systems, and
    outlives DVC. The imports before this call take seconds; if DVC was killed meanwhile, the process ends at once.

    Raises:
        SystemExit: no `dvc` command is above this process any more.
    """
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ:
        return
    dvc = find_dvc()
    try:
        handle = None if dvc is None else os.pidfd_open(dvc)
    except ProcessLookupError:
        handle = None
    if handle is None or find_dvc() != dvc:  # the second look: its number may have been given to another process
        sys.exit("the `dvc` command that started this stage has ended: stopping")
    threading.Thread(target=_kill_after, args=[handle], name="die with DVC", daemon=True).start()


def find_dvc() -> int | None:
    """The id of the nearest process above this one that is not part of a DVC stage, if that is DVC."""
    process = os.getppid()
    while process > 0:
        folder = Path(f"/proc/{process}")
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
            status = (folder / "stat").read_text(encoding="utf-8")
        except OSError:  # it ended while we looked
            return None
        if not any(variable.startswith(MARK) for variable in environment):
            return process if "dvc" in {Path(os.fsdecode(word)).name for word in command.split(b"\0")} else None
        process = int(status.rpartition(")")[2].split()[1])  # fields after the name: state, parent
    return None


def _kill_after(handle: int) -> None:
    select.select([handle], [], [])  # a process handle becomes readable when the process ends
    os.kill(os.getpid(), signal.SIGKILL)
