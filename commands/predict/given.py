"""What the words of a call name: paths, patterns such as `photos/*.png`, and with `-` a list on standard input."""

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import cast

from stages.core.run.console import printable
from stages.core.run.errors import UserError

STDIN = Path("-")
AT_ONCE = 1 << 20  # bytes of a list


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
    """Yield the paths on standard input: one a line, or divided by null bytes as `find -print0` writes them.

    What arrives first decides which: a name may have line breaks where null bytes divide them.

    Raises:
        UserError: null bytes are among lines.
    """
    stream = cast(BufferedReader, sys.stdin.buffer)
    start = b""
    while b"\n" not in start and b"\0" not in start and (more := stream.read1(AT_ONCE)):
        start += more
    if b"\0" in start:
        yield from (Path(os.fsdecode(name)) for name in divided(stream, start, b"\0") if name.strip(b"\n"))
        return
    for line in divided(stream, start, b"\n"):
        if b"\0" in line:
            raise UserError("-: the list on standard input has lines and null bytes: divide its paths by one of them")
        if name := line.rstrip(b"\r"):
            yield Path(os.fsdecode(name))


def divided(stream: BufferedReader, start: bytes, mark: bytes) -> Iterator[bytes]:
    """Yield what a mark divides, of `start` and the rest of a stream, of which little is in memory at a time."""
    rest = start
    while more := stream.read1(AT_ONCE):
        *whole, rest = (rest + more).split(mark)
        yield from whole
    yield from rest.split(mark)


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
