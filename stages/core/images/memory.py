"""How many images may be decoded at once: a small file can have a hundred million pixels."""

import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from stages.core.runtime.kinds import DICOM, FORMATS, image_kind

BYTES_A_PIXEL = 25  # of a decoded image with the copies that it is measured by
BYTES_OF_DICOM = 50  # the same, as its values go through windows as numbers of 64 bits
SHARE = 2  # one part in so many of the memory that is free is used
MEMORY = Path("/proc/meminfo")
GROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # version 2, version 1


def threads_for(paths: Iterable[Path]) -> int:
    """Return how many of these images may be decoded at once: the largest decides, by its header.

    Args:
        paths: of images; what cannot be read counts as nothing.

    Returns:
        At least 1, at most the number of cores.
    """
    largest = max(map(memory_for, paths), default=0)
    at_once = available_memory() // SHARE // max(1, largest)
    return max(1, min(len(os.sched_getaffinity(0)), at_once))


def memory_for(path: Path) -> int:
    """Return how many bytes it takes to decode an image, by its header; 0 where that cannot be read."""
    try:
        kind = image_kind(path)
        if kind == DICOM:
            from stages.core.runtime.dicom import pixels_in

            return BYTES_OF_DICOM * pixels_in(path)
        if kind not in FORMATS:
            return 0
        with Image.open(path, formats=FORMATS) as image:
            return BYTES_A_PIXEL * image.width * image.height
    except Exception:  # the file's own check says what is wrong with it
        return 0


def available_memory() -> int:
    """Return how many bytes this process may still take: what Linux estimates, and what a container's limit leaves."""
    lines = MEMORY.read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return min([free, *(left for folder in groups() if (left := left_in(folder)) is not None)])


def groups() -> list[Path]:
    """Return the folders in which the limits of this process may stand, its own and those above."""
    try:
        lines = GROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for _, kinds, path in (line.split(":", 2) for line in lines):
        if kinds in ("", "memory"):
            own = GROUPS / kinds / path.lstrip("/")
            found += [folder for folder in (own, *own.parents) if folder.is_relative_to(GROUPS)]
    return found


def left_in(folder: Path) -> int | None:
    """Return how many bytes the limit of a control group leaves; None where it has none."""
    for limit, used in LIMITS:
        try:
            return max(0, int((folder / limit).read_text()) - int((folder / used).read_text()))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return None
