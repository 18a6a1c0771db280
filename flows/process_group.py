"""Processes that are killed together: a command and what it started."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GONE_SECONDS = 10.0  # in which the processes of a killed group are gone
DEAD = "ZX"  # states of a thread that has closed its files; a zombie waits for its parent to clear it away


def kill_group(group: int) -> None:
    """Kill a process group and wait until none of it runs (Linux): a dying process still holds its files and locks.

    Gives up waiting after GONE_SECONDS; a process that hangs in the kernel cannot be killed.

    Args:
        group: id of the process that leads it, or led it.
    """
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    moment = time.monotonic() + GONE_SECONDS
    while any(True for _ in living_members(group)) and time.monotonic() < moment:
        time.sleep(0.01)


def living_members(group: int) -> Iterator[int]:
    """Ids of the processes in the group of which a thread still runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        state, its_group, threads = fields[0], int(fields[2]), int(fields[17])  # proc(5): fields 3, 5 and 20
        if its_group == group and (state not in DEAD or threads > 1):
            yield int(folder.name)
