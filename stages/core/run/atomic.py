"""Write whole files and folders or none: next to the target, then rename. Nothing foreign is deleted.

The work happens in a temporary folder of a name of its own, which is locked while it is in use. What a killed process
leaves is therefore known by its free lock, and the next one that writes to the same target removes it. A version that
must give way is moved into the temporary folder first and deleted last, so that one of the two is there at any time.
"""

import fcntl
import functools
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
NEW, OLD = "new", "old"  # in a temporary folder
LONGEST = 40  # characters of the target's name in that of a temporary folder, below the 255 bytes of file systems
MARK = "user.oddpart"
TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.tmp", re.DOTALL)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; when the block ends well, it becomes `path`.

    In a temporary folder, which goes as a whole, that path needs no folder and no lock of its own: a stage may write
    thousands of files there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_nested(path):
        temporary = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}.{NEW}")
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return
    sweep_once(path.parent.absolute())
    with workspace(path) as folder:
        yield folder / NEW
        (folder / NEW).replace(path)


@contextmanager
def replacing_folder(path: Path, *, only_new: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder next to `path`; when the block ends well, it becomes `path`.

    An earlier version gives way. It is known by the mark that this function leaves in a folder's extended attributes,
    which are no part of its content, or by having the same names at its top, since not every file system keeps marks
    and DVC puts outputs back without. Anything else stays, and the new folder gets the first free name with a number.

    Args:
        path: of the folder.
        only_new: let no unmarked folder give way, for content that has no names to know it by.

    Raises:
        UserError: there is something else at `path`; the message says where the new folder is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_nested(path):
        sweep(path)
    with workspace(path) as folder:
        new = folder / NEW
        new.mkdir()
        yield new
        mark(new)

        def problem(old: Path) -> str | None:
            names, written = names_in(old), set() if only_new else names_in(new)
            if is_marked(old):
                return None
            if foreign := sorted(names - written):
                return f"holds {foreign[0]}, which is not written here"
            return f"has no {min(written - names)}, so it was not written here" if names and written - names else None

        put(new, path, aside=folder / OLD, problem=problem)


def mark(folder: Path) -> None:
    """Mark a folder as written here, where the file system keeps extended attributes."""
    with suppress(OSError):
        os.setxattr(folder, MARK, b"1")


def is_marked(folder: Path) -> bool:
    """Whether `mark` marked a folder."""
    try:
        return os.getxattr(folder, MARK) == b"1"
    except OSError:
        return False


def names_in(folder: Path) -> set[str]:
    """Return the names of what lies in a folder."""
    return {entry.name for entry in folder.iterdir()}


def put(new: Path, path: Path, *, aside: Path, problem: Callable[[Path], str | None]) -> None:
    """Rename a folder to `path`; what is there gives way, or the new one gets another name.

    Args:
        new: the finished folder.
        path: its place.
        aside: where the folder that is there goes; it is not deleted here.
        problem: returns why a folder must stay, None where it may give way. It is asked before the folder is moved and
            once more afterwards, when nobody adds to it any more.

    Raises:
        UserError: something at `path` must stay; the message says where the new folder is.
    """
    reason = _make_way(path, aside, problem)
    if reason is None:
        try:
            new.rename(path)  # fails where a folder with content appeared meanwhile
        except OSError as error:
            reason = f"cannot be replaced ({error.strerror})"
        else:
            return
    other = free_name(path)
    new.rename(other)
    raise UserError(f"{path} {reason}: it was left as it is, and the new folder is {other}; move or remove one of them")


def _make_way(path: Path, aside: Path, problem: Callable[[Path], str | None]) -> str | None:
    """Move what is at `path` aside; return why it must stay, None where the way is free."""
    if not path.is_dir() or path.is_symlink():
        return "is no folder" if os.path.lexists(path) else None
    if (reason := problem(path)) is not None:
        return reason
    try:
        path.rename(aside)
    except OSError as error:
        return f"cannot be replaced ({error.strerror})"
    if (reason := problem(aside)) is not None:
        aside.rename(path)
    return reason


def free_name(path: Path) -> Path:
    """Return `path` with the first number from 2 on that nothing is called."""
    number = 2
    while os.path.lexists(path.with_name(f"{path.name}-{number}")):
        number += 1
    return path.with_name(f"{path.name}-{number}")


@contextmanager
def workspace(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`, which is gone at the end; a version moved there goes back if need be."""
    with locked_folder(path.parent, prefix=_prefix(path), suffix=".tmp") as folder:
        try:
            yield folder
        finally:
            clear(folder, path)


def _prefix(path: Path) -> str:
    return f".{short_name(path.name)}."


def short_name(name: str) -> str:
    """Return a name that leaves space for more; two names that begin alike stay different."""
    if len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}~{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def is_nested(path: Path) -> bool:
    """Whether a path is in a temporary folder, which goes as a whole if its process is killed."""
    return any(TEMPORARY.fullmatch(name) for name in path.parent.parts)


@functools.cache
def sweep_once(parent: Path) -> None:
    """Remove the temporary folders of files in a folder that nobody works in any more.

    Once a process: a folder may hold very many files, and to look through it for each that is written takes too long.
    """
    with os.scandir(parent) as entries:
        found = [Path(entry) for entry in entries if TEMPORARY.fullmatch(entry.name) and not entry.is_symlink()]
    for folder in found:
        with lock_if_free(folder) as free:
            if free and names_in(folder) <= {NEW}:
                shutil.rmtree(folder, ignore_errors=True)


def sweep(path: Path) -> None:
    """Remove the temporary folders for `path` that nobody works in any more; a version moved aside is put back."""
    own = re.compile(re.escape(_prefix(path)) + r"[0-9a-f]{8}\.tmp")
    with os.scandir(path.parent) as entries:
        found = sorted(Path(entry) for entry in entries if own.fullmatch(entry.name) and not entry.is_symlink())
    for folder in found:
        with lock_if_free(folder) as free:
            if free and names_in(folder) <= {NEW, OLD}:
                clear(folder, path)


def clear(folder: Path, path: Path) -> None:
    """Remove a temporary folder; an old version in it goes back to `path` where nothing took its place."""
    old = folder / OLD
    if os.path.lexists(old) and not os.path.lexists(path):
        old.rename(path)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        LOG.warning("%s is left over and cannot be deleted: delete it", folder)


@contextmanager
def locked_folder(parent: Path, *, prefix: str, suffix: str = "") -> Iterator[Path]:
    """Make a folder of a new name and keep it locked; it is not removed at the end.

    The lock belongs to the folder, whatever it is renamed to. Where a file system knows no locks, there is none, and
    `lock_if_free` never takes such a folder for free.
    """
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(4)}{suffix}"
        folder.mkdir()
        handle = os.open(folder, os.O_RDONLY)
        try:
            _lock(handle, wait=True)
            if folder.exists():  # another process may have swept it before it was locked
                yield folder
                return
        finally:
            os.close(handle)


@contextmanager
def lock_if_free(folder: Path) -> Iterator[bool]:
    """Lock a folder during the block if nobody else has; yields whether it did."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        yield _lock(handle, wait=False)
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # taken, or no locks here
        return False
    return True
