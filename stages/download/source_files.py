"""Files that can be copied: which names are safe to write, and those of a local folder."""

import configparser
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from stages.core.run.errors import UserError

LISTED = 50  # problems in the message
LONGEST_NAME, LONGEST_PATH = 255, 2000  # bytes; file systems take no longer name
LEAVES = "is a link that leads"
DVC = Path(".dvc")  # in the repository's root, where every stage runs
STRAY_NAMES = ("Thumbs.db", "desktop.ini", "__MACOSX")


@dataclass(frozen=True)
class SourceFile:
    """A regular file that can be copied.

    Attributes:
        name: POSIX path below the folder or the archive's root, checked by `name_problem`.
        size: bytes.
        open: opens its content; the caller closes it.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def name_problem(name: str) -> str | None:
    """Return why writing this name could leave the target folder or could not be read again; None when it is safe."""
    path = PurePosixPath(name)
    if not path.parts:
        return "is no name of a file"
    if path.is_absolute():
        return "is an absolute path"
    if ".." in path.parts:
        return "leaves its folder by '..'"
    if "\\" in name or any(ord(character) < 32 for character in name):
        return "has a backslash or a control character"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        return "is not valid UTF-8"
    if len(name.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in path.parts):
        return f"has more than {LONGEST_NAME} bytes, or {LONGEST_PATH} with its folders"
    return None


def link_target(name: str, link: str) -> str | None:
    """Return where a symbolic link at `name` leads, as a path below the root; None when it leaves the root."""
    if PurePosixPath(link).is_absolute():
        return None
    parts: list[str] = []
    for part in (PurePosixPath(name).parent / link).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return "/".join(parts)


def is_stray(name: str) -> bool:
    """Report whether an operating system or a tool made it: hidden files and folders, Thumbs.db and the like."""
    return any(part.startswith(".") or part in STRAY_NAMES for part in PurePosixPath(name).parts)


def refuse_unsafe(where: Path, problems: Iterable[str]) -> None:
    """Raise one UserError that lists the first LISTED problems, or do nothing when there are none."""
    lines = list(problems)
    if lines:
        more = [f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
        shown = "\n  - ".join([*(repr(line)[1:-1] for line in lines[:LISTED]), *more])
        raise UserError(f"{where} is refused, nothing was written: {len(lines)} unsafe entries\n  - {shown}")


def folder_files(root: Path, *, follow_links: bool = False) -> list[SourceFile]:
    """List all regular files below a folder, sorted by name; links to files count as the file they lead to.

    Args:
        root: the folder.
        follow_links: whether links to files may lead out of the folder. Into DVC's cache they always may: that is how
            DVC keeps a tracked folder with `cache.type symlink`.

    Raises:
        UserError: an entry leads out of the folder, is a device, a socket or a link to a folder, may not be read, or
            has an unsafe name.
    """
    files, problems, leaving = [], [], []
    inside = [root.resolve(), *dvc_caches(), *([Path("/")] if follow_links else [])]

    def note(error: OSError) -> None:
        name = Path(error.filename).relative_to(root).as_posix()
        problems.append(f"{name}: is a folder that cannot be read ({error.strerror}): change its permissions")

    for path in walk(root, note):
        name = path.relative_to(root).as_posix()
        problem = name_problem(name) or entry_problem(path, inside)
        if problem == LEAVES:
            leaving.append(name)
        elif problem:
            problems.append(f"{name}: {problem}")
        else:
            files.append(SourceFile(name, path.stat().st_size, partial(open_binary, path)))
    if leaving:
        count = f"it and {len(leaving) - 1} others are links that lead" if len(leaving) > 1 else LEAVES
        problems.append(f"{leaving[0]}: {count} out of the folder: copy the files in their place, or set "
                        "`links: follow` in the product's entry of params.yaml")  # fmt: skip
    refuse_unsafe(root, problems)
    return files


def dvc_caches() -> list[Path]:
    """Return where DVC keeps the files of this repository: the folder that its configuration names, or its own."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read([DVC / "config", DVC / "config.local"], encoding="utf-8")
        named = config.get("cache", "dir", fallback="cache")
    except (configparser.Error, ValueError):
        named = "cache"
    return [(DVC / named).resolve()] if DVC.is_dir() else []


def walk(root: Path, note: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield every entry that is not a folder, and every link to one, sorted; folders that cannot be read are noted."""
    for folder, folders, names in os.walk(root, followlinks=False, onerror=note):
        folders.sort()
        links = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted(names + links))


def entry_problem(path: Path, inside: Sequence[Path]) -> str | None:
    """Return why an entry cannot be copied, None when it can; `inside` are resolved folders that links may lead to."""
    if path.is_symlink():
        target = Path(os.path.realpath(path))  # pathlib's own raises at links that lead round
        if not any(target.is_relative_to(folder) for folder in inside):
            return LEAVES
        if not target.is_file():
            return "is a link to a folder, to itself or to nothing: copy the files in its place"
    elif not stat.S_ISREG(path.lstat().st_mode):
        return "is neither a file nor a folder"
    if not os.access(path, os.R_OK):
        return "may not be read: change its permissions"
    return None


def open_binary(path: Path) -> IO[bytes]:
    """Open a file for reading."""
    return path.open("rb")
