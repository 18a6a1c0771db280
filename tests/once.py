"""What one process of a test session makes for all of them."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Keep other processes out of the block; the lock's folder is made."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def shared_folder(basetemp: Path) -> Path:
    """Return the folder of all processes of a session, of which xdist's workers have a part each."""
    return basetemp.parent if "PYTEST_XDIST_WORKER" in os.environ else basetemp


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return the folder, which the first process that asks for it makes; tests change copies only.

    Args:
        make: fills the folder of the argument, which is the current one meanwhile.
    """
    with one_at_a_time(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)  # of an attempt that failed
            unfinished.mkdir()
            with chdir(unfinished):
                make(unfinished)
            unfinished.rename(folder)
    return folder
