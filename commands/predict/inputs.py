"""Find the images to score among the files and folders that a user names, and account for everything else there."""

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from commands.predict.given import paths_of
from commands.predict.kinds import look_at
from commands.predict.marker import is_results
from commands.verdicts.scratch import OnDisk, scratch_database
from stages.core.run.console import printable
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import counted

LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
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


IMAGES, UNREADABLE, SKIPPED = "images", "unreadable", "skipped"
COLUMNS = "given INTEGER, key BLOB, path BLOB"
TABLES = (
    f"CREATE TABLE images (real BLOB PRIMARY KEY, {COLUMNS})",
    "CREATE INDEX images_in_order ON images (given, key, path)",
    f"CREATE TABLE unreadable ({COLUMNS}, reason BLOB)",
    f"CREATE TABLE skipped ({COLUMNS}, reason BLOB)",
)


@dataclass(frozen=True)
class Inputs:
    """Images in the order given, those of a folder sorted by path; each file once. They may be millions."""

    images: OnDisk[Path]
    unreadable: OnDisk[Unreadable]
    skipped: OnDisk[Skipped]


@dataclass
class Findings:
    """What a search has found so far.

    Attributes:
        given: number of the word that is looked at.
        again: how many images were found a second time.
    """

    database: sqlite3.Connection = field(default_factory=lambda: scratch_database(*TABLES))
    given: int = 0
    again: int = 0

    def take(self, path: Path, *, named: bool) -> bool:
        """Look at a file and sort it in; return whether it is an image.

        Args:
            path: of the file.
            named: whether the user named it, who then hears of it whatever it is.
        """
        seen = look_at(path)
        if seen.problem is None:
            self.add_image(path)
        elif seen.image or named:
            self.add(UNREADABLE, path, seen.problem)
        else:
            self.add(SKIPPED, path, seen.problem)
        return seen.problem is None

    def add_image(self, path: Path) -> None:
        """Add an image; of two ways to one file the first in order counts."""
        before = self.count(IMAGES)
        self.database.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?) ON CONFLICT (real) DO UPDATE SET given = excluded.given, "
            "key = excluded.key, path = excluded.path WHERE (excluded.given, excluded.key) < (given, key)",
            (os.fsencode(os.path.realpath(path)), self.given, key_of(path), os.fsencode(path)),
        )
        self.again += self.count(IMAGES) == before

    def add(self, table: str, path: Path, reason: str) -> None:
        """Add what is not scored."""
        row = (self.given, key_of(path), os.fsencode(path), os.fsencode(reason))
        self.database.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", row)

    def count(self, table: str) -> int:
        """Return the number of rows of a table; that of images is never lowered, so its last row id is enough."""
        last = "SELECT coalesce(max(rowid), 0) FROM"
        return int(self.database.execute(f"{last} {table}").fetchone()[0])

    def inputs(self) -> Inputs:
        """Return what was found, in order."""
        order = "ORDER BY given, key, path"
        images = OnDisk(self.database, f"SELECT path FROM images {order}", as_path, self.count(IMAGES))
        unreadable = OnDisk(
            self.database,
            f"SELECT path, reason FROM unreadable {order}",
            lambda path, reason: Unreadable(as_path(path), os.fsdecode(reason)),
            self.count(UNREADABLE),
        )
        skipped = OnDisk(
            self.database,
            f"SELECT path, reason FROM skipped {order}",
            lambda path, reason: Skipped(as_path(path), os.fsdecode(reason)),
            self.count(SKIPPED),
        )
        return Inputs(images, unreadable, skipped)


def as_path(name: bytes) -> Path:
    """Return a path from the bytes of its name."""
    return Path(os.fsdecode(name))


def key_of(path: Path) -> bytes:
    """Return what sorts a path as `Path` does: folder by folder, not letter by letter."""
    return os.fsencode(path).replace(b"/", b"\0")


def find_images(given: Sequence[Path], *, output: Path) -> Inputs:
    """List the images to score by their first bytes, whatever they are called; none is decoded yet.

    A folder is searched with all folders below it. Hidden files and folders, linked folders and results of this command
    are skipped. A file that is reached twice, also by a link, counts once, under the first path.

    Args:
        given: paths, patterns, and - for a list on standard input.
        output: folder of the results, which is not searched.

    Raises:
        UserError: there is no image, not even one that cannot be read.
    """
    found = Findings()
    for found.given, path in enumerate(paths_of(given)):
        if not is_folder(path):
            found.take(path, named=True)
        elif not search(path, output, found):
            LOG.warning("%s: no image in it", path)
    inputs = found.inputs()
    if not len(inputs.images) and not len(inputs.unreadable):
        problems = [f"{entry.path}: {entry.reason}" for entry in first_of(inputs.skipped)]
        names = ", ".join(map(str, given))
        what = "; ".join([f"no image found in {names}", *shortened(problems, len(inputs.skipped))])
        raise UserError(f"{what}: name image files, or folders of them")
    if found.again:
        LOG.info("%s named more than once: each counts once", counted(found.again, "file"))
    return inputs


def first_of(items: Iterable[Item]) -> list[Item]:
    """Return the first NAMED items."""
    return list(islice(items, NAMED))


def shortened(lines: Sequence[str], total: int) -> list[str]:
    """Return the first NAMED lines, each without a line break, and how many more there are.

    Args:
        lines: the first of them.
        total: of all.
    """
    return [*map(printable, lines[:NAMED]), *([f"and {total - NAMED} more"] if total > NAMED else [])]


def search(folder: Path, output: Path, found: Findings) -> bool:
    """Look at everything in a folder and below; return whether an image is in it.

    A folder that cannot be opened counts as unreadable.
    """
    excluded, waiting, images = os.path.realpath(output), [folder], 0
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for path in (Path(here, entry.name) for entry in entries):
                    if not is_folder(path):
                        images += take_entry(path, found)
                    elif (reason := why_not(path, excluded)) is not None:
                        found.add(SKIPPED, path, reason)
                    else:
                        waiting.append(path)
        except OSError as error:
            found.add(UNREADABLE, here, f"cannot be opened ({error.strerror})")
    return images > 0


def take_entry(path: Path, found: Findings) -> bool:
    """Look at a file of a folder; return whether it is an image that is scored."""
    if path.name.startswith("."):
        found.add(SKIPPED, path, "is hidden")
        return False
    return found.take(path, named=False)


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
