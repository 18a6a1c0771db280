"""Find the images to score among the files and folders that a user names."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.core.images.reading import IMAGE_SUFFIXES
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unreadable:
    """What could not be read, and why."""

    path: Path
    error: str


@dataclass(frozen=True)
class Inputs:
    """Images in the order given, those of a folder sorted by path; each file once."""

    images: tuple[Path, ...]
    unreadable: tuple[Unreadable, ...]


def find_images(given: Sequence[Path], *, output: Path) -> Inputs:
    """List the images to score; none is opened yet.

    A file is taken whatever its suffix. A folder is searched with all folders below it for IMAGE_SUFFIXES. Hidden
    files and folders, linked folders and `output` are excluded from the search. A file that is reached twice, also by a
    link, counts once, under the first path.

    Raises:
        UserError: there is no image.
    """
    unreadable: list[Unreadable] = []
    reached: list[Path] = []
    for path in given:
        found = search(path, output, unreadable) if is_folder(path) else [path]
        if not found:
            LOG.warning("%s: no image in it (%s)", path, " ".join(IMAGE_SUFFIXES))
        reached += found
    images: dict[str, Path] = {}
    for path in reached:
        images.setdefault(os.path.realpath(path), path)
    if not images:
        problems = [f"{entry.path}: {entry.error}" for entry in unreadable]
        what = "; ".join([f"no image found in {', '.join(map(str, given))}", *problems])
        raise UserError(f"{what}: name image files, or folders of {' '.join(IMAGE_SUFFIXES)} files")
    if len(images) < len(reached):
        LOG.info("%d files were named more than once: each counts once", len(reached) - len(images))
    return Inputs(tuple(images.values()), tuple(unreadable))


def search(folder: Path, output: Path, unreadable: list[Unreadable]) -> list[Path]:
    """Images in a folder and below, sorted; folders that cannot be opened are added to `unreadable`."""

    def note(error: OSError) -> None:
        unreadable.append(Unreadable(Path(error.filename), f"cannot be opened ({error.strerror})"))

    excluded, found = os.path.realpath(output), []
    for root, folders, files in os.walk(folder, onerror=note):
        folders[:] = [
            name for name in folders if not name.startswith(".") and os.path.realpath(Path(root, name)) != excluded
        ]
        found += [Path(root, name) for name in files if is_image_name(name)]
    return sorted(found)


def is_image_name(name: str) -> bool:
    """Whether a file of this name is looked at in a folder."""
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; one that cannot be looked at counts as a file, so that reading it says why."""
    try:
        return path.is_dir()
    except OSError:
        return False
