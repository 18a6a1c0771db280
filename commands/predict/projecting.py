"""Tables of a watched folder: each row of the store once, also after a kill between the store and the tables."""

from __future__ import annotations

import csv
import glob
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from commands.predict.results import LINES, SCORES, UNREADABLE, append_line, append_row, as_line
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Refused, Verdict
from stages.core.run.console import printable
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
FILES: Mapping[str, list[str]] = {  # and their columns
    SCORES: ["id", *(one.name for one in fields(Verdict))],
    LINES: [],
    UNREADABLE: ["id", *(one.name for one in fields(Refused))],
}
BEFORE = ".before-"  # in the name of a file that was put aside, and a number
BLOCK = 4096  # bytes that are read from the end of a table at a time


@dataclass
class Projection:
    """Files that repeat what a station stored; each row carries its id, by which the next run goes on.

    Attributes:
        folder: of the files.
        station, source: whose rows.
        last: id of the last row, by file.
    """

    folder: Path
    station: str
    source: str
    last: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        """See what the files have; half a row of a killed run is cut off.

        A file that is put aside has its rows: the next one goes on from them, also when no row came before a restart.
        """
        for name in FILES:
            path = self.folder / name
            line, whole = last_line(path)
            if not is_ours(path, line):
                put_aside(path)
            elif whole:
                os.truncate(path, whole)
            else:  # the next row makes it, with its header
                path.unlink(missing_ok=True)
            if line is None and (earlier := put_aside_before(path)):
                line, _ = last_line(earlier[-1])
            self.last[name] = 0 if line is None else id_of(name, line)

    def catch_up(self, store: VerdictStore) -> None:
        """Write the rows that the files lack.

        Raises:
            UserError: they cannot be written.
        """
        try:
            self.write_missing(store)
        except OSError as error:
            raise UserError(f"{self.folder} (--output) cannot be written: {error}") from None

    def write_missing(self, store: VerdictStore) -> None:
        """See `catch_up`."""
        for name, table in ((SCORES, "verdicts"), (UNREADABLE, "unreadable"), (LINES, "verdicts")):
            for row in store.rows_after(self.last[name], table=table, station=self.station, source=self.source):
                if name == LINES:
                    append_line(self.folder / name, as_object(row))
                else:
                    append_row(self.folder / name, as_cells(row))
                self.last[name] = row["id"]


def as_object(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the store as JSON says it."""
    flags = {name: None if row[name] is None else bool(row[name]) for name in ("is_anomalous", "unsure")}
    return {**row, **flags, "explanations": json.loads(row["explanations"])}


def as_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the store for a table, each on one line."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def is_ours(path: Path, last: bytes | None) -> bool:
    """Whether a file goes on as it is: a table by its columns, JSON lines by the last one; also one that is missing.

    Args:
        path: of the file.
        last: its last whole line; None where a run was killed in the first one.
    """
    if not path.exists():
        return True
    if last is None:
        begun = path.read_bytes()[:BLOCK]
        return begun[:1] in (b"{", b"") if path.name == LINES else as_line(FILES[path.name]).startswith(begun)
    if path.name == LINES:
        return id_of(LINES, last) > 0
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return next(csv.reader(file), []) == FILES[path.name]


def id_of(name: str, line: bytes) -> int:
    """Return the id of a file's row; 0 for a header, and for a row that is none of ours."""
    text = line.decode(errors="replace")
    try:
        found = json.loads(text)["id"] if name == LINES else next(csv.reader([text]))[0]
        return int(found)
    except (ValueError, LookupError, TypeError, csv.Error, StopIteration):
        return 0


def put_aside(path: Path) -> None:
    """Rename a file that an older program began with other columns, or that is damaged; the next row begins a new one.

    Rows that it has are not written again.
    """
    number = len(put_aside_before(path)) + 1
    while (aside := path.with_name(f"{path.stem}{BEFORE}{number}{path.suffix}")).exists():
        number += 1
    path.rename(aside)
    LOG.info("%s has the columns of an older program, or is damaged: it is %s now", path, aside.name)


def put_aside_before(path: Path) -> list[Path]:
    """Return the files that were put aside in the place of one, the last one last."""
    found = path.parent.glob(f"{glob.escape(path.stem)}{BEFORE}*{path.suffix}")
    numbers = {one: one.stem.rpartition("-")[2] for one in found}
    return sorted((one for one, number in numbers.items() if number.isdigit()), key=lambda one: int(numbers[one]))


def last_line(path: Path) -> tuple[bytes | None, int]:
    """Return the last whole line of a file and the number of bytes to its end; None and 0 where there is none.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.exists():
        return None, 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and tail.count(b"\n") < 2:
            size = min(BLOCK, end)
            end = file.seek(end - size)
            tail = file.read(size) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    return (whole.rstrip(b"\n").rpartition(b"\n")[2], end + len(whole)) if whole else (None, 0)
