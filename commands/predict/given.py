"""What the words of a call name: paths, patterns such as `photos/*.png`, and with `-` a list on standard input."""

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.core.run.console import printable
from stages.core.run.errors import UserError

STDIN = Path("-")


def paths_of(given: Sequence[Path]) -> Iterator[Path]:
    """Yield the paths that words name: those of a pattern sorted, those of a list in its order.

    A file that is called like a pattern counts as itself. A pattern that nothing fits is yielded as it is, so that
    reading it says that it does not exist.
    """
    for word in given:
        if word == STDIN:
            yield from listed_paths()
        elif is_pattern(word):
            found = glob.iglob(str(word), recursive=True)  # noqa: PTH207 - Path.glob shows hidden files and takes no /
            yield from map(Path, sorted(found) or [str(word)])
        else:
            yield word


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern, and no file is called so."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def listed_paths() -> Iterator[Path]:
    """Yield the paths on standard input: one a line, or divided by null bytes as `find -print0` writes them."""
    stream = sys.stdin.buffer
    first = stream.readline()
    if b"\0" in first:
        yield from (Path(os.fsdecode(name)) for name in (first + stream.read()).split(b"\0") if name.strip(b"\n"))
        return
    line = first
    while line:
        if name := line.rstrip(b"\r\n"):
            yield Path(os.fsdecode(name))
        line = stream.readline()


def check_given(given: Sequence[Path]) -> None:
    """Pass when at least one of the paths exists; a missing one among others is excluded later, like a damaged file.

    A list on standard input is read later.

    Raises:
        UserError: none exists.
    """
    if STDIN not in given and not any(exists(path) for word in given for path in paths_of([word])):
        names = ", ".join(printable(str(path)) for path in given)
        raise UserError(f"{names}: nothing is there: name image files, or folders of them")


def exists(path: Path) -> bool:
    """Return whether a path exists; one that cannot be looked at does, so that reading it says why."""
    try:
        return path.exists()
    except OSError:
        return True
