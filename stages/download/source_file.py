"""One file of a folder or an archive, and which names are safe to write."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from stages.core.running.errors import UserError

STRAY_NAMES = ("Thumbs.db", "desktop.ini", "__MACOSX")


@dataclass(frozen=True)
class SourceFile:
    """A regular file that can be copied.

    Attributes:
        name: POSIX path below the folder or the archive's root, checked by `name_problem`.
        size: bytes.
        open: gives its content; the caller closes it.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def name_problem(name: str) -> str | None:
    """Why writing this name could leave the target folder or could not be read again; None when it is safe."""
    path = PurePosixPath(name)
    if path.is_absolute():
        return "is an absolute path"
    if ".." in path.parts:
        return "leaves its folder by '..'"
    if "\\" in name or any(ord(character) < 32 for character in name):
        return "has a backslash or a control character"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        return "is not valid UTF-8"
    return None


def link_target(name: str, link: str) -> str | None:
    """Where a symbolic link at `name` leads, as a path below the root; None when it leaves the root."""
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
    """Whether an operating system or a tool left it there: hidden files and folders, Thumbs.db and the like."""
    return any(part.startswith(".") or part in STRAY_NAMES for part in PurePosixPath(name).parts)


def refuse_unsafe(where: Path, problems: Iterable[str]) -> None:
    """Raise one UserError that lists the problems, or do nothing when there are none."""
    lines = list(problems)
    if lines:
        shown = "\n  - ".join(repr(line)[1:-1] for line in lines)
        raise UserError(f"{where} is refused, nothing was written: {len(lines)} unsafe entries\n  - {shown}")
