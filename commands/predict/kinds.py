"""Recognise a file by its first bytes, whatever it is called: a readable image, another kind of it, or neither."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from stages.core.runtime.kinds import FOREIGN, HEAD, RAW_SUFFIXES, kind_of, refusal
from stages.core.runtime.reading import IMAGE_SUFFIXES

INDEX = "dicomdir"  # begins like a DICOM image and is none
OTHER_SUFFIXES = (
    ".jfif", ".jpe", ".jif", ".jps", ".mpo", ".apng", ".dib", ".j2k", ".jpf", ".jpx", ".j2c", ".dicom", ".dic",
    ".heic", ".heif", ".avif", ".jxl", ".jxr", ".psd", ".exr", ".hdr", ".cr3", ".raf", ".orf", ".rw2", ".tga",
    ".svg", ".fits", ".nii", *RAW_SUFFIXES,
)  # fmt: skip
SPECIAL = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


@dataclass(frozen=True)
class Seen:
    """What a look at a file found.

    Attributes:
        image: whether it is an image, or is called like one, or may be one for all that could be seen.
        problem: why it cannot be read; None for what the reader should try.
    """

    image: bool
    problem: str | None = None


def look_at(path: Path) -> Seen:
    """Look at a file's kind and first bytes, following a link; never waits for a pipe or a device."""
    named = path.name.lower().endswith((*IMAGE_SUFFIXES, *OTHER_SUFFIXES))
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            special = next((words for is_so, words in SPECIAL.items() if is_so(found.st_mode)), "no regular file")
            return Seen(named, f"is {special}, not a file")
        if not found.st_size:
            return Seen(named, "is empty (0 bytes): replace or remove it")
        return judge_head(first_bytes(path), path.name.lower(), named=named)
    except FileNotFoundError:
        return Seen(named, "is a link to nothing" if path.is_symlink() else "does not exist")
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Seen(named, "is a link that leads back to itself")
        return Seen(True, f"cannot be opened ({error.strerror})")


def first_bytes(path: Path) -> bytes:
    """Read the first HEAD bytes; a pipe that took the file's place meanwhile is not waited for.

    Raises:
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with open(handle, "rb") as file:  # noqa: PTH123 - an open handle
        return file.read(HEAD)


def judge_head(head: bytes, name: str, *, named: bool) -> Seen:
    """Recognise a file by its first bytes.

    Args:
        head: of the file.
        name: of the file in small letters.
        named: whether it is called like an image.
    """
    if name == INDEX:
        return Seen(False, "is the index of a DICOM folder")
    kind = kind_of(head, name)
    if kind is None:
        return Seen(named, None if named else "is no image by its content")
    return Seen(True, refusal(kind) if kind in FOREIGN else None)
