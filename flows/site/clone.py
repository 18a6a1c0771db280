"""Find the clone a flow works in, and hold it: one run at a time, by a lock that is free however its holder dies."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.core.run.errors import UserError

VARIABLE = "ODDPART_CLONE"
LOCK_FILE = Path(".dvc/tmp/oddpart_flow.lock")


def clone_folder() -> Path:
    """Return the folder that ODDPART_CLONE names, else the current one; resolved.

    Raises:
        UserError: it is no clone of this repository.
    """
    clone = Path(os.environ.get(VARIABLE, ".")).resolve()
    for needed in ("dvc.yaml", "params.yaml", ".dvc", ".git"):
        if not (clone / needed).exists():
            raise UserError(f"{clone} has no {needed}: start in a clone of the repository, or name one in {VARIABLE}")
    return clone


@dataclass(frozen=True)
class Holder:
    """The record of who holds a clone. One that is still in the file of a free lock is that of a holder that died."""

    flow_run_id: str | None
    host: str
    process: int


@contextmanager
def hold_clone(clone: Path, *, flow_run_id: str | None) -> Iterator[Holder | None]:
    """Hold the clone; yield the record of the holder before, if that one died.

    Raises:
        UserError: another run holds the clone, or the folder is no DVC repository.
    """
    if not (clone / ".dvc").is_dir():
        raise UserError(f"{clone} is no clone of this repository (it has no .dvc folder): name one in {VARIABLE}")
    try:
        (clone / LOCK_FILE).parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"{(clone / LOCK_FILE).parent} is a file, where DVC keeps a folder: delete it") from None
    handle = os.open(clone / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run holds {clone} ({_describe(_read(handle))}): wait for its end") from None
        before = _read(handle)
        _write(handle, Holder(flow_run_id, socket.gethostname(), os.getpid()))
        try:
            yield before
        finally:
            _write(handle, None)
    finally:
        os.close(handle)


def dead_holder(clone: Path) -> Holder | None:
    """Return the record of a holder that died and was not yet followed by another run.

    None while a run holds the clone.
    """
    if not (clone / LOCK_FILE).exists():
        return None
    handle = os.open(clone / LOCK_FILE, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _read(handle)
    except BlockingIOError:
        return None
    finally:
        os.close(handle)


def _read(handle: int) -> Holder | None:
    text = os.pread(handle, 4096, 0).decode(errors="replace")
    try:
        return Holder(**json.loads(text)) if text else None
    except (ValueError, TypeError):  # killed while it wrote the record: whose it was is lost
        return None


def _write(handle: int, holder: Holder | None) -> None:
    os.ftruncate(handle, 0)
    if holder is not None:
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)


def _describe(holder: Holder | None) -> str:
    return "unknown process" if holder is None else f"process {holder.process} on {holder.host}"
