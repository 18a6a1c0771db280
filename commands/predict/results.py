"""The folder of results: there as a whole, or not at all; its tables, and the names of its heatmaps."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError

SCORES, UNREADABLE = "scores.csv", "unreadable.csv"
HEATMAPS = "heatmaps"  # folder, below the one of the results
LONGEST = 60  # characters kept of a name: with up to 4 bytes each they stay below the 255 bytes of file systems


@contextmanager
def results_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder next to `path`; when the block ends well, it becomes `path`.

    Whatever goes wrong, earlier results at `path` stay as they were.

    Args:
        overwrite: whether earlier results of this command may be replaced; anything else never is.

    Raises:
        UserError: `path` cannot be written to, or holds something that must stay.
    """
    target = Path(os.path.realpath(path))  # a link keeps pointing to the results
    try:
        check_replaceable(target, overwrite=overwrite)
        with replacing_folder(target) as folder:
            yield folder
    except OSError as error:
        raise UserError(f"{path} (--output) cannot be written: {error}") from None


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Pass if there is nothing at `path`, an empty folder, or with `overwrite` a folder that only holds our results.

    Raises:
        UserError: it is something else.
        OSError: it cannot be looked into.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"{path} (--output) is a file: name a folder")
    if path.is_mount():
        raise UserError(f"{path} (--output) is a mount point and cannot be replaced as a whole: name a folder in it")
    names = {entry.name for entry in path.iterdir()}
    foreign = sorted(names - {SCORES, UNREADABLE, HEATMAPS})
    if foreign or (names and SCORES not in names):
        raise UserError(
            f"{path} (--output) holds {(foreign or sorted(names))[0]}, which is not a result of this command: "
            "name a new or empty folder"
        )
    if names and not overwrite:
        raise UserError(f"{path} (--output) holds earlier results: add --overwrite to replace them")


def heatmap_names(paths: Iterable[Path]) -> list[str]:
    """One file name a path: its name without suffix, and -2, -3, ... where that is taken.

    Names that differ by case only count as the same, since some file systems take them for the same.
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = path.stem[:LONGEST]
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.jpg")
    return names


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Write a header and the rows; None becomes an empty field."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
