"""Tables of a watched folder: each row of the store once, also after a kill between the store and the tables."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from commands.predict.results import LINES, SCORES, UNREADABLE, append_line, append_row
from commands.verdicts.store import VerdictStore
from commands.verdicts.verdict import Verdict
from stages.core.run.console import printable
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
COLUMNS = ["id", *(one.name for one in fields(Verdict))]  # of SCORES
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
        """See what the files have; half a row of a killed run is cut off."""
        for name in (SCORES, LINES, UNREADABLE):
            line = last_line(self.folder / name)
            if line is None:  # the next row makes it, with its header
                (self.folder / name).unlink(missing_ok=True)
            if name == LINES:
                self.last[name] = 0 if line is None else int(json.loads(line)["id"])
            else:
                first = "" if line is None else next(csv.reader([line.decode()]))[0]
                self.last[name] = int(first) if first.isdigit() else 0
        put_aside(self.folder / SCORES)

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


def put_aside(path: Path) -> None:
    """Rename a table that an older program began with other columns; the next row begins a new one."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        if next(csv.reader(file), COLUMNS) == COLUMNS:
            return
    number = 1
    while (aside := path.with_name(f"{path.stem}.before-{number}{path.suffix}")).exists():
        number += 1
    path.rename(aside)
    LOG.info("%s has the columns of an older program: it is %s now", path, aside.name)


def last_line(path: Path) -> bytes | None:
    """Return the last line of a file, None where there is none; what follows the last line break is cut off.

    Raises:
        OSError: the file cannot be read or written.
    """
    if not path.exists():
        return None
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and tail.count(b"\n") < 2:
            size = min(BLOCK, end)
            end = file.seek(end - size)
            tail = file.read(size) + tail
        whole = tail[: tail.rfind(b"\n") + 1]
        file.truncate(end + len(whole))
    return whole.rstrip(b"\n").rpartition(b"\n")[2] if whole else None
