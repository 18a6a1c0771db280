"""Read pictures in a thread, while others are judged: decoding and the graph then share the cores."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from stages.core.run.errors import UserError
from stages.core.runtime.compression import FileKinds
from stages.core.runtime.pictures import read_picture, unlike_training
from stages.core.runtime.reading import MAX_PIXELS, Window

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

Item = TypeVar("Item")
Result = TypeVar("Result")
DEPTH = 2  # pictures that are decoded and wait: each may take hundreds of megabytes


class ChangedMeanwhile(UserError):
    """A file that was written to or replaced while it was read."""


@dataclass(frozen=True)
class FileFacts:
    """What changes when a file is written to or replaced."""

    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileFacts:
        """Look at a file.

        Raises:
            OSError: it cannot be looked at.
        """
        facts = path.stat()
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ino)


@dataclass(frozen=True)
class Reading:
    """A picture that was read.

    Attributes:
        pixels: as they are judged.
        sha256: of the file.
        facts: of the file.
        kind_note: how its kind differs from that of the training images.
        seconds: that decoding took.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    sha256: str
    facts: FileFacts
    kind_note: str | None
    seconds: float


def read_file(
    path: Path, grey_range: Window | None, files: FileKinds | None = None, *, max_pixels: int = MAX_PIXELS
) -> Reading:
    """Read a picture and the hash of the very bytes that are judged.

    Args:
        path: of the file.
        grey_range: see `read_picture`.
        files: how the training images were saved; None where that is not known.
        max_pixels: see `read_picture`.

    Raises:
        UserError: it cannot be read, or is written to meanwhile.
    """
    try:
        facts, started = FileFacts.of(path), time.perf_counter()
        pixels = read_picture(path, grey_range, max_pixels=max_pixels)
        seconds = time.perf_counter() - started
        sha256 = sha256_of(path)
        kind_note = unlike_training(path, grey_range, files)
        if FileFacts.of(path) != facts:
            raise ChangedMeanwhile(f"{path}: changed while it was read: judge it again when it is whole")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return Reading(pixels, sha256, facts, kind_note, seconds)


def sha256_of(path: Path) -> str:
    """Return the hash of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, depth: int = DEPTH
) -> Iterator[tuple[Item, Future[Result]]]:
    """Do something with each item in a thread, a few items ahead of the one that is asked for.

    Args:
        work: what to do; what it raises is raised by the future's `result`.
        items: they are taken in the caller's thread.
        depth: how many results wait.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading") as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > depth:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
