"""Find the images to score among the files and folders that a user names, and account for everything else there."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from commands.predict.kinds import look_at
from commands.predict.marker import is_results
from stages.core.run.console import printable
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
NAMED = 10  # problems that a message names


@dataclass(frozen=True)
class Unreadable:
    """An image, or a folder, that could not be read, and why."""

    path: Path
    error: str


@dataclass(frozen=True)
class Skipped:
    """What was passed over in a folder, and why: it is no image, or not looked at by rule."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Inputs:
    """Images in the order given, those of a folder sorted by path; each file once."""

    images: tuple[Path, ...]
    unreadable: tuple[Unreadable, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass
class Findings:
    """What a search has found so far."""

    images: list[Path] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def take(self, path: Path, *, named: bool) -> None:
        """Look at a file and sort it in.

        Args:
            path: of the file.
            named: whether the user named it, who then hears of it whatever it is.
        """
        seen = look_at(path)
        if seen.problem is None:
            self.images.append(path)
        elif seen.image or named:
            self.unreadable.append(Unreadable(path, seen.problem))
        else:
            self.skipped.append(Skipped(path, seen.problem))


def find_images(given: Sequence[Path], *, output: Path) -> Inputs:
    """List the images to score by their first bytes, whatever they are called; none is decoded yet.

    A folder is searched with all folders below it. Hidden files and folders, linked folders and results of this command
    are skipped. A file that is reached twice, also by a link, counts once, under the first path.

    Raises:
        UserError: there is no image.
    """
    found = Findings()
    for path in given:
        before = len(found.images)
        if not is_folder(path):
            found.take(path, named=True)
        else:
            search(path, output, found)
            if len(found.images) == before:
                LOG.warning("%s: no image in it", path)
    images: dict[str, Path] = {}
    for path in found.images:
        images.setdefault(os.path.realpath(path), path)
    if not images:
        problems = [f"{entry.path}: {entry.error}" for entry in found.unreadable]
        problems += [f"{entry.path}: {entry.reason}" for entry in found.skipped]
        what = "; ".join([f"no image found in {', '.join(map(str, given))}", *shortened(problems)])
        raise UserError(f"{what}: name image files, or folders of them")
    if len(images) < len(found.images):
        LOG.info("%d files were named more than once: each counts once", len(found.images) - len(images))
    return Inputs(tuple(images.values()), tuple(found.unreadable), tuple(found.skipped))


def shortened(lines: Sequence[str]) -> list[str]:
    """Return the first NAMED lines, each without a line break, and how many more there are."""
    return [*map(printable, lines[:NAMED]), *([f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else [])]


def search(folder: Path, output: Path, found: Findings) -> None:
    """Look at everything in a folder and below, sorted by path; a folder that cannot be opened counts as unreadable."""

    def note(error: OSError) -> None:
        found.unreadable.append(Unreadable(Path(error.filename), f"cannot be opened ({error.strerror})"))

    files, excluded = [], os.path.realpath(output)
    for root, folders, names in os.walk(folder, onerror=note):
        reasons = {name: reason for name in folders if (reason := why_not(Path(root, name), excluded)) is not None}
        found.skipped += [Skipped(Path(root, name), reason) for name, reason in sorted(reasons.items())]
        folders[:] = [name for name in folders if name not in reasons]
        files += [Path(root, name) for name in names]
    for path in sorted(files):
        if path.name.startswith("."):
            found.skipped.append(Skipped(path, "is hidden"))
        else:
            found.take(path, named=False)


def why_not(folder: Path, output: str) -> str | None:
    """Return why a folder is not searched, None where it is."""
    if folder.name.startswith("."):
        return "is a hidden folder"
    if folder.is_symlink():
        return "is a link to a folder: name it to have it searched"
    return "holds results of this command" if os.path.realpath(folder) == output or is_results(folder) else None


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; one that cannot be looked at counts as a file, so that reading it says why."""
    try:
        return path.is_dir()
    except OSError:
        return False
