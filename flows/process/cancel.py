"""End commands early: the cancel token of an interrupted run, and the killing of whole process groups."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GONE_SECONDS = 10.0  # in which the processes of a killed group are gone
DEAD = "ZX"  # states of a thread that has closed its files; a zombie waits for its parent to clear it away


class Cancelled(Exception):
    """A command was ended, or not started, because its run was interrupted."""


class CancelToken:
    """Cancelled once in the flow's thread; wakes every thread that waits with it, which then gives up.

    An event of the operating system (Linux), so that a thread can wait for a command's output and for it at once.
    A run is interrupted by Ctrl-C, by a cancel in Prefect, or by an error in the flow itself.
    """

    def __init__(self) -> None:
        self._handle = os.eventfd(0)

    def __del__(self) -> None:  # not before the last thread has let go of it
        os.close(self._handle)

    def fileno(self) -> int:
        """Return the handle that becomes readable on cancellation, for `select`."""
        return self._handle

    def cancel(self) -> None:
        """Wake all threads that wait with this token."""
        os.eventfd_write(self._handle, 1)

    def check(self, *, seconds: float = 0) -> None:
        """Wait that long, or until it is cancelled.

        Raises:
            Cancelled: it is cancelled.
        """
        if select.select([self._handle], [], [], seconds)[0]:
            raise Cancelled("the run was interrupted")


def kill_group(group: int) -> None:
    """Kill a process group and wait until none of it runs (Linux): a dying process still holds its files and locks.

    Stops waiting after GONE_SECONDS; a process that hangs in the kernel cannot be killed.

    Args:
        group: id of the process that leads it, or led it.
    """
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    moment = time.monotonic() + GONE_SECONDS
    while any(True for _ in living_members(group)) and time.monotonic() < moment:
        time.sleep(0.01)


def living_members(group: int) -> Iterator[int]:
    """Yield ids of the processes in the group of which a thread still runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        state, its_group, threads = fields[0], int(fields[2]), int(fields[17])  # proc(5): fields 3, 5 and 20
        if its_group == group and (state not in DEAD or threads > 1):
            yield int(folder.name)
