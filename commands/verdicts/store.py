"""The verdict store: an SQLite file that keeps every verdict with the bundle that gave it, each once.

`oddpart predict`, `oddpart predict --watch` and `oddpart serve` write to it by `VerdictStore.write`. docs/operate.md
describes the columns. A version is in SQLite's `user_version`: a later one adds tables (labels of a review, approvals)
that name a verdict by its `id`, and leaves these as they are.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from stages.core.run.errors import UserError

STORE = "verdicts.sqlite"
VERSION = 1
APPLICATION = 0x0DD9A27  # in the file's header: one of ours
PATIENCE = 30.0  # seconds to wait for another process that writes
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    picture TEXT NOT NULL, picture_sha256 TEXT NOT NULL,
    product TEXT NOT NULL, method TEXT NOT NULL, bundle_commit TEXT, bundle_sha256 TEXT NOT NULL,
    score REAL NOT NULL, threshold REAL NOT NULL, p_value REAL, is_anomalous INTEGER NOT NULL, unsure INTEGER,
    explanations TEXT NOT NULL, time TEXT NOT NULL, station TEXT NOT NULL, source TEXT NOT NULL,
    UNIQUE (picture, picture_sha256, bundle_sha256, station))""",
    """CREATE TABLE IF NOT EXISTS unreadable (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    picture TEXT NOT NULL, picture_sha256 TEXT NOT NULL, error TEXT NOT NULL,
    time TEXT NOT NULL, station TEXT NOT NULL, source TEXT NOT NULL,
    UNIQUE (picture, picture_sha256, station))""",
    "CREATE INDEX IF NOT EXISTS verdicts_by_time ON verdicts (product, time)",
)


@dataclass(frozen=True)
class Verdict:
    """A row of the table `verdicts`, without its id; the fields are named as the columns.

    Attributes:
        picture: name, as it was given; below the folder of `--watch`.
        picture_sha256: of the file's bytes.
        bundle_commit: of the repository that made the bundle; None where it is not known.
        bundle_sha256: of the bundle's manifest, which names all its files by theirs.
        explanations: JSON: scores of the branches, and how the picture differs from training images.
        time: UTC, as `utc_now` returns it.
        station: the machine or camera.
        source: predict, watch or serve.
    """

    picture: str
    picture_sha256: str
    product: str
    method: str
    bundle_commit: str | None
    bundle_sha256: str
    score: float
    threshold: float
    p_value: float | None
    is_anomalous: bool
    unsure: bool | None
    explanations: str
    time: str
    station: str
    source: str


@dataclass(frozen=True)
class Refused:
    """A row of the table `unreadable`: a picture that could not be judged, and why; sha256 is "" where unknown."""

    picture: str
    picture_sha256: str
    error: str
    time: str
    station: str
    source: str


TABLES = {Verdict: "verdicts", Refused: "unreadable"}


class VerdictStore:
    """An open store; used by one thread, while other processes may write to the same file."""

    def __init__(self, path: Path) -> None:
        """Open a store, and make it where there is none.

        Raises:
            UserError: it cannot be opened, is something else, or of a newer version.
        """
        self.path = path
        with self.naming_the_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            try:
                self.prepare()
            except BaseException:
                self.database.close()
                raise

    def prepare(self) -> None:
        """Check whose file it is, and make the tables of a new one."""
        self.refuse_others()
        self.database.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before the first table; later it changes nothing
        (mode,) = self.database.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise UserError(f"{self.path}: the file system allows no write-ahead log: name a file on a local disk")
        # FULL: what was written is there after a power cut. A picture is moved away after its verdict was written.
        self.database.execute("PRAGMA synchronous=FULL")
        with self.transaction():
            self.refuse_others()
            for statement in (*SCHEMA, f"PRAGMA application_id={APPLICATION}", f"PRAGMA user_version={VERSION}"):
                self.database.execute(statement)

    def refuse_others(self) -> None:
        """Pass for a new file and for one of ours.

        Raises:
            UserError: it is another program's, or of a newer version.
        """
        application, version = (self.database.execute(f"PRAGMA {name}").fetchone()[0]
                                for name in ("application_id", "user_version"))  # fmt: skip
        if application == APPLICATION and version > VERSION:
            raise UserError(f"{self.path}: is of version {version}, this oddpart knows {VERSION}: install a newer one")
        tables = self.database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != APPLICATION and (application or tables):
            raise UserError(f"{self.path}: is a database of something else: name another file")

    def write(self, rows: Iterable[Verdict | Refused]) -> int:
        """Store rows, all or none of them; one that is stored already stays as it was.

        Returns:
            How many are new.

        Raises:
            UserError: it cannot be written, as on a full disk.
        """
        with self.naming_the_file(), self.transaction():
            return sum(self.insert(row) for row in rows)

    def insert(self, row: Verdict | Refused) -> int:
        """Store a row in the open transaction; return 1, or 0 where it is stored already."""
        values, names = astuple(row), ", ".join(field.name for field in fields(row))
        places = ", ".join("?" * len(values))
        statement = f"INSERT INTO {TABLES[type(row)]} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING"
        return self.database.execute(statement, values).rowcount

    def known_as(self, picture: str, picture_sha256: str, *, station: str) -> str | None:
        """Return the table in which a station has a picture, by whatever bundle; None where it has none."""
        with self.naming_the_file():
            for table in TABLES.values():
                found = self.database.execute(
                    f"SELECT 1 FROM {table} WHERE picture = ? AND picture_sha256 = ? AND station = ?",
                    (picture, picture_sha256, station),
                )
                if found.fetchone():
                    return table
        return None

    def rows_after(self, last: int, *, table: str, station: str, source: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a station with an id above `last`, the oldest first."""
        cursor = self.database.execute(
            f"SELECT * FROM {table} WHERE id > ? AND station = ? AND source = ? ORDER BY id", (last, station, source)
        )
        names = [column[0] for column in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """Delete the oldest rows and give their space back.

        Args:
            keep_days: rows that are older go.
            keep_rows: so many of each table stay.

        Returns:
            How many rows went.
        """
        gone = 0
        with self.naming_the_file():
            with self.transaction():
                for table in TABLES.values():
                    if keep_days is not None:
                        oldest = stamp(datetime.now(UTC) - timedelta(days=keep_days))
                        gone += self.database.execute(f"DELETE FROM {table} WHERE time < ?", (oldest,)).rowcount
                    if keep_rows is not None:
                        newest = f"SELECT id FROM {table} ORDER BY id DESC LIMIT ?"
                        gone += self.database.execute(
                            f"DELETE FROM {table} WHERE id NOT IN ({newest})", (keep_rows,)
                        ).rowcount
            self.database.execute("PRAGMA incremental_vacuum").fetchall()
        return gone

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.naming_the_file():
            return self.database.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all that the block writes, or nothing; waits for other processes first."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    @contextmanager
    def naming_the_file(self) -> Iterator[None]:
        """Turn whatever goes wrong with the file into an error that names it."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UserError(f"{self.path}: cannot be written or read ({error}): see to its disk and folder") from None
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: is no database, or damaged ({error}): name another file") from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be made ({error.strerror}): name another file") from None

    def close(self) -> None:
        """Close the file; the last one to close it empties the write-ahead log into it."""
        self.database.close()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.close()


def stamp(moment: datetime) -> str:
    """Return a moment in UTC as text that sorts by time: 2026-11-30T14:05:09.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_now() -> str:
    """Return the present moment, see `stamp`."""
    return stamp(datetime.now(UTC))


def this_station(given: str | None) -> str:
    """Return the name of this station: as given, or by ODDPART_STATION, or else the machine's."""
    return given or os.environ.get("ODDPART_STATION") or socket.gethostname()


def as_text(name: str) -> str:
    """Return a file's name as text that every program can read; bytes that are no UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def as_json(explanations: Mapping[str, Any]) -> str:
    """Return explanations as they are stored."""
    return json.dumps(dict(explanations), ensure_ascii=False)
