"""The folder of results: there as a whole, or under another name; its tables, and the names of its heatmaps.

While a run lasts its rows are in `NAME.unfinished-xxxxxxxx` next to the folder NAME that was asked for, each as soon as
its image is scored. What a run leaves there that was killed or failed is resumed by the next one for NAME
(`commands.predict.resuming`), and stays until one has ended well.
"""

import csv
import io
import json
import logging
import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands.predict.marker import MARKER, is_results, read_marker, write_marker
from commands.verdicts.scratch import scratch_database
from commands.verdicts.verdict import STORE
from stages.core.run.atomic import OLD, lock_if_free, locked_folder, names_in, put, short_name, sweep, workspace
from stages.core.run.console import harmless_cell
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
SCORES, UNREADABLE, SKIPPED = "scores.csv", "unreadable.csv", "skipped.csv"
LINES = "scores.jsonl"  # the rows of SCORES as JSON, one a line
HEATMAPS = "heatmaps"  # folder, below the one of the results
OWN = {SCORES, LINES, UNREADABLE, SKIPPED, HEATMAPS, MARKER, STORE, f"{STORE}-wal", f"{STORE}-shm"}
UNFINISHED = ".unfinished-"
BETWEEN = "; "  # explanations in one cell
LONGEST = 60  # characters kept of a name: with up to 4 bytes each they stay below the 255 bytes of file systems
EARLIER = "holds earlier results"


@dataclass
class Results:
    """A run's folder while it is written.

    Attributes:
        folder: where to write.
        target: what it becomes.
        run: differs from that of every other run.
        about: goes into the marker, at the end or by `mark`.
    """

    folder: Path
    target: Path
    run: str
    about: dict[str, Any] = field(default_factory=dict)

    def mark(self) -> None:
        """Say in the marker what is known so far: a killed run is resumed by it."""
        write_marker(self.folder, run=self.run, complete=False, about=self.about)


@contextmanager
def results_folder(path: Path, *, overwrite: bool) -> Iterator[Results]:
    """Yield a marked folder next to `path`; when the block ends well, it becomes `path`.

    Whatever goes wrong, what is at `path` stays as it was, and rows that were written stay where they are.

    Args:
        path: of the results.
        overwrite: whether earlier results of this command may be replaced; anything else never is.

    Raises:
        UserError: `path` cannot be written to, holds something that must stay or came meanwhile, or another run writes
            to it.
    """
    target = Path(os.path.realpath(path))  # a link keeps pointing to the results
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        before = check_replaceable(target, overwrite=overwrite)
        refuse_second_run(target)
        remove_unfinished(target, with_rows=False)
        run = secrets.token_hex(8)
        with locked_folder(target.parent, prefix=short_name(target.name) + UNFINISHED) as folder:
            write_marker(folder, run=run, complete=False, about={})
            results = Results(folder, target, run)
            try:
                yield results
                write_marker(folder, run=run, complete=True, about=results.about)
                with workspace(target) as temporary:
                    put(folder, target, aside=temporary / OLD,
                        problem=lambda old: problem_with(old, overwrite=overwrite, before=before))  # fmt: skip
            finally:
                keep_or_remove(folder)
        remove_unfinished(target, with_rows=True)
    except OSError as error:
        raise UserError(f"{path} (--output) cannot be written: {error}") from None


def check_replaceable(path: Path, *, overwrite: bool) -> str | None:
    """Pass if there is nothing at `path`, an empty folder, or with `overwrite` a folder that only holds our results.

    Returns:
        The run of the results there; None where there are none.

    Raises:
        UserError: it is something else.
        OSError: it cannot be looked into.
    """
    if path.is_symlink():  # `results_folder` has followed it
        raise UserError(f"{path} (--output) is a link that leads back to itself: remove it, or name another folder")
    if not path.exists():
        return None
    if not path.is_dir():
        raise UserError(f"{path} (--output) is a file: name a folder")
    if path.is_mount():
        raise UserError(f"{path} (--output) is a mount point and cannot be replaced as a whole: name a folder in it")
    before = (read_marker(path) or {}).get("run")
    problem = problem_with(path, overwrite=overwrite, before=before)
    if problem is not None:
        remedy = "add --overwrite to replace them" if problem == EARLIER else "name a new or empty folder"
        raise UserError(f"{path} (--output) {problem}: {remedy}")
    return before


def problem_with(folder: Path, *, overwrite: bool, before: str | None) -> str | None:
    """Return why a folder must stay, None where it may be replaced.

    Args:
        folder: that is in the place of the results.
        overwrite: whether earlier results may be replaced.
        before: the run whose results were there at the start.
    """
    names, marker = names_in(folder), read_marker(folder)
    if not names:
        return None
    foreign = sorted(names if marker is None else names - OWN) or foreign_heatmaps(folder)
    if foreign:
        return f"holds {foreign[0]}, which is not a result of this command"
    if marker is None or marker.get("run") != before:
        return "holds results of another run, which ended meanwhile"
    return None if overwrite else EARLIER


def foreign_heatmaps(folder: Path) -> list[str]:
    """Return what lies among the heatmaps of a folder of results and is none of them."""
    if not (folder / HEATMAPS).is_dir():
        return []
    try:
        with (folder / SCORES).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            ours = {Path(row["heatmap"] or "").name for row in csv.DictReader(file)}
    except (OSError, KeyError, csv.Error):
        ours = set()
    return sorted(f"{HEATMAPS}/{name}" for name in names_in(folder / HEATMAPS) - ours)


def keep_or_remove(folder: Path) -> None:
    """Keep an unfinished folder that has rows, and say where; remove one without. One that was put in place is gone."""
    if not folder.exists():
        return
    if (folder / SCORES).exists():
        LOG.warning("the rows so far are in %s; the next run for the same folder goes on from them", folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_second_run(target: Path) -> None:
    """Refuse to work for a folder that another run is working for.

    Raises:
        UserError: there is one.
    """
    for folder in unfinished(target):
        with lock_if_free(folder) as free:
            if not free and is_results(folder):
                raise UserError(
                    f"{target} (--output): another run is writing to {folder}: wait, or name another folder"
                )


def remove_unfinished(target: Path, *, with_rows: bool) -> None:
    """Remove what runs for `target` left that were killed or failed.

    Args:
        target: the folder that they were to make.
        with_rows: also those that have rows, which the next run could go on from.
    """
    for folder in unfinished(target):
        if (folder / SCORES).exists() and not with_rows:
            continue
        with lock_if_free(folder) as free:
            if free and (is_results(folder) or not names_in(folder)):
                shutil.rmtree(folder, ignore_errors=True)


def unfinished(target: Path) -> list[Path]:
    """Return the folders that runs for `target` write to or left, those with rows first, the newest first."""
    name = re.compile(re.escape(short_name(target.name) + UNFINISHED) + r"[0-9a-f]{8}")
    with os.scandir(target.parent) as entries:
        found = [Path(entry) for entry in entries if name.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]
    return sorted(found, key=lambda one: ((one / SCORES).exists(), one.stat().st_mtime_ns), reverse=True)


def heatmap_names(paths: Iterable[Path]) -> Iterator[str]:
    """Yield one file name a path: its name without suffix, and -2, -3, ... where that is taken.

    Names that differ by case only count as the same, since some file systems take them for the same.
    """
    taken = scratch_database("CREATE TABLE names (name BLOB PRIMARY KEY, last INTEGER) WITHOUT ROWID")
    for path in paths:
        stem = path.stem[:LONGEST]
        key = os.fsencode(stem.casefold())
        found = taken.execute("SELECT last FROM names WHERE name = ?", (key,)).fetchone()
        number = 1 if found is None else found[0] + 1
        while not take(taken, name := stem if number == 1 else f"{stem}-{number}"):
            number += 1
        taken.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (key, number))
        yield f"{name}.jpg"


def take(taken: sqlite3.Connection, name: str) -> bool:
    """Take a name; return whether it was free."""
    row = (os.fsencode(name.casefold()),)
    return taken.execute("INSERT OR IGNORE INTO names VALUES (?, 1)", row).rowcount == 1


def start_table(path: Path, columns: Sequence[str]) -> None:
    """Make a table that has only its header."""
    with path.open("xb") as file:
        file.write(as_line(columns))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a UTF-8 table, which is made with a header where there is none.

    None and no tags become an empty field, tags become JSON. A file name that is not UTF-8 keeps its bytes.
    No text begins like a formula of a spreadsheet: see `harmless_cell`.
    """
    if not path.exists():
        start_table(path, list(row))
    with path.open("ab") as file:
        file.write(as_line([as_cell(value) for value in row.values()]))


def as_cell(value: Any) -> Any:
    """Return a value for a cell: a list becomes one text, tags become JSON, none of either an empty field."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False) if value else None
    text = BETWEEN.join(value) if isinstance(value, list) else value
    return harmless_cell(text) if isinstance(text, str) else text


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a file of JSON lines; bytes of a name that are no UTF-8 are kept as escapes."""
    with path.open("ab") as file:
        file.write(json.dumps(dict(row)).encode() + b"\n")


def as_line(values: Sequence[Any]) -> bytes:
    """Return a row of a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", errors="surrogateescape")
