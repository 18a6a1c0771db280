"""The verdict store: a database that keeps every verdict with the bundle that gave it, each once.

`oddpart predict`, `oddpart predict --watch` and `oddpart serve` write to it by `VerdictStore.write`, and
`oddpart history` asks it. docs/operate.md describes the columns.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Select, Table, delete, exists, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from commands.verdicts.addresses import shown, url_of
from commands.verdicts.engines import READING, engine_of, in_one_line, is_lost
from commands.verdicts.files import StillFile, check_writable, make_folder
from commands.verdicts.migrating import check_version, prepare
from commands.verdicts.schema import ONCE, ORIGIN, TABLES, TAGS, UNREADABLE, VERDICTS, set_of, tag_set_of
from commands.verdicts.verdict import Refused, Verdict, stamp
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
PATIENCE = 30.0  # seconds to wait for another process that writes, and for a server that is away
PAUSE = 0.5  # seconds between two tries
AT_ONCE = 1000  # rows that are read by one statement
Result = TypeVar("Result")
NAMES = {"verdicts": VERDICTS, "unreadable": UNREADABLE}


class VerdictStore:
    """An open store; used by one thread, while other processes may write to the same database."""

    def __init__(
        self, where: str | Path, *, patience: float = PATIENCE, at_start: float | None = None, read_only: bool = False
    ) -> None:
        """Open a store, and make it where there is none.

        Args:
            where: a file or a URL, see `commands.verdicts.addresses`.
            patience: seconds to wait for another process that writes, and for a server that is away.
            at_start: the same for a server that is away now; `patience` where None.
            read_only: read a file where nothing can be written; nothing is made or brought up to date.

        Raises:
            UserError: it cannot be opened or written, is something else, or of a newer version.
        """
        url = url_of(where)
        self.url, self.name, self.patience = url, shown(url), patience if at_start is None else at_start
        self.still = StillFile.of(url) if read_only else None
        self.engine = engine_of(url, patience=patience, read_only=read_only)
        try:
            with in_one_line(url):
                if read_only:
                    self.patiently(lambda: check_version(self.engine, name=self.name))
                else:
                    make_folder(url)
                    check_writable(url)
                    self.patiently(lambda: prepare(self.engine, name=self.name))
        except BaseException:
            self.engine.dispose()
            raise
        self.patience = patience

    def write(self, rows: Iterable[Verdict | Refused]) -> int:
        """Store rows, all or none of them; one that is stored already stays as it was.

        A server that is away is waited for. Whatever it made of the last try: nothing is stored twice.

        Returns:
            How many are new.

        Raises:
            UserError: it cannot be written, as on a full disk.
        """
        rows = list(rows)
        if not rows:
            return 0
        with in_one_line(self.url):
            return self.patiently(lambda: self.insert_all(rows))

    def insert_all(self, rows: Sequence[Verdict | Refused]) -> int:
        """See `write`."""
        with self.engine.begin() as connection:
            return sum(insert(connection, table, rows) for table in TABLES)

    def patiently(self, work: Callable[[], Result]) -> Result:
        """Do something with the database; a server that is away is waited for, and it is done anew.

        Raises:
            DBAPIError: it cannot be done, or the server stayed away.
        """
        end, said = time.monotonic() + self.patience, False
        while True:
            try:
                return work()
            except (DBAPIError, sqlite3.Error) as error:
                if not is_lost(error) or time.monotonic() > end:
                    raise
                why = "another process holds it" if "locked" in str(error) else "the server is away"
            if not said:
                LOG.warning("%s: %s: trying again for %g seconds", self.name, why, self.patience)
                said = True
            time.sleep(PAUSE)

    def can_be_written(self) -> bool:
        """Whether a transaction can begin and end now."""
        try:
            with in_one_line(self.url), self.engine.begin() as connection:
                connection.execute(delete(TAGS).where(TAGS.c.key == ""))  # of which there is none
        except UserError:
            return False
        return True

    def time_of(self, verdict: Verdict) -> str:
        """Return when a verdict was stored that is stored already: the first time counts."""
        values = as_columns(verdict)
        same = [VERDICTS.c[name] == values[name] for name in ONCE]
        return str(self.first(select(VERDICTS.c.time).where(*same)))

    def known_as(self, picture: str, picture_sha256: str, *, station: str) -> str | None:
        """Return the table in which a station has a picture, by whatever bundle; None where it has none."""
        for name, table in NAMES.items():
            wanted = (
                table.c.picture == picture, table.c.picture_sha256 == picture_sha256, table.c.station == station,
            )  # fmt: skip
            if self.first(select(table.c.id).where(*wanted).limit(1)) is not None:
                return name
        return None

    def first(self, statement: Select[Any]) -> Any:
        """Return the first value that is asked for, None where there is none; a server that is away is waited for.

        Raises:
            UserError: the store cannot be read.
        """

        def read() -> Any:
            with self.engine.connect().execution_options(**READING) as connection:
                return connection.execute(statement).scalar()

        with in_one_line(self.url):
            return self.patiently(read)

    def rows_after(self, last: int, *, table: str, station: str, source: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a station with an id above `last`, the oldest first, verdicts with their tags.

        A server that is away is waited for.
        """
        columns, known = NAMES[table].c, dict[int, dict[str, str]]()

        def read() -> list[dict[str, Any]]:
            wanted = (columns.id > last, columns.station == station, columns.source == source)
            statement = select(NAMES[table]).where(*wanted).order_by(columns.id).limit(AT_ONCE)
            with self.engine.connect().execution_options(**READING) as connection:
                return [whole(connection, dict(row), known) for row in connection.execute(statement).mappings().all()]

        while True:
            with in_one_line(self.url):
                found = self.patiently(read)
            yield from found
            if len(found) < AT_ONCE:
                return
            last = found[-1]["id"]

    def prune(self, *, keep_days: float | None = None, keep_rows: int | None = None) -> int:
        """Delete the oldest rows and give their space back.

        Args:
            keep_days: rows that are older go.
            keep_rows: so many of each table stay.

        Returns:
            How many rows went.
        """
        with in_one_line(self.url):
            gone = self.patiently(lambda: self.delete_oldest(keep_days, keep_rows))
            if self.engine.dialect.name == "sqlite":
                self.vacuum()
        return gone

    def delete_oldest(self, keep_days: float | None, keep_rows: int | None) -> int:
        """See `prune`."""
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":  # else a writer's tags might go before its verdicts come
                connection.execute(text(f"LOCK TABLE {TAGS.name} IN SHARE ROW EXCLUSIVE MODE"))
            gone = sum(prune_table(connection, one, keep_days, keep_rows) for one in NAMES.values())
            if gone:
                connection.execute(delete(TAGS).where(~exists().where(VERDICTS.c.tag_set == TAGS.c.tag_set)))
        return gone

    def vacuum(self) -> None:
        """Give the space of deleted rows back to the disk."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT", **READING) as connection:
            file = connection.connection.driver_connection
            assert file is not None
            file.execute("PRAGMA incremental_vacuum").fetchall()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the store and holds up nobody.

        Raises:
            UserError: it cannot be read.
        """
        with in_one_line(self.url), self.engine.connect().execution_options(**READING) as connection:
            yield connection
        if self.still is not None:
            self.still.check()

    def close(self) -> None:
        """Close the connections; the last one to close an SQLite file empties the write-ahead log into it."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the store."""
        self.close()


def insert(connection: Connection, kind: type[Verdict | Refused], rows: Sequence[Verdict | Refused]) -> int:
    """Store the rows of one kind in the open transaction; return how many are new."""
    chosen = [row for row in rows if isinstance(row, kind)]
    if not chosen:
        return 0
    common = [set_of(vars(row), row.tags) for row in chosen if isinstance(row, Verdict)]
    sets = {tag_set_of(one): one for one in common}
    tags = [{"tag_set": number, "key": key, "value": value} for number in sets for key, value in sets[number].items()]
    if tags:
        add(connection, TAGS, sorted(tags, key=lambda tag: (tag["tag_set"], tag["key"])))
    return add(connection, TABLES[kind], [as_columns(row) for row in chosen])


def add(connection: Connection, table: Table, values: Sequence[dict[str, Any]]) -> int:
    """Insert what is not there yet; return how many rows that was."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing()
    return connection.execute(statement, list(values), execution_options={"preserve_rowcount": True}).rowcount


def as_columns(row: Verdict | Refused) -> dict[str, Any]:
    """Return a row by the columns of its table."""
    values = {one.name: getattr(row, one.name) for one in fields(row)}
    if isinstance(row, Verdict):
        values |= {"tag_set": tag_set_of(set_of(values, values.pop("tags"))), "day": row.time[:10]}
    return values


def whole(connection: Connection, row: dict[str, Any], known: dict[int, dict[str, str]]) -> dict[str, Any]:
    """Return a row of `verdicts` with its tags in place of the columns that serve the database.

    Args:
        connection: of the store.
        row: of one of the tables.
        known: sets of tags that were read already; new ones are added.
    """
    if "tag_set" not in row:
        return row
    number = row.pop("tag_set")
    row.pop("day")
    if number not in known:
        known[number] = tags_in(connection, number)
    return row | {"tags": known[number]}


def tags_in(connection: Connection, number: int) -> dict[str, str]:
    """Return the tags of a set."""
    statement = select(TAGS.c.key, TAGS.c.value).where(TAGS.c.tag_set == number).order_by(TAGS.c.key)
    return {row.key: row.value for row in connection.execute(statement) if row.key not in ORIGIN}


def prune_table(connection: Connection, table: Table, keep_days: float | None, keep_rows: int | None) -> int:
    """Delete the oldest rows of a table; return how many."""
    gone = 0
    if keep_days is not None:
        oldest = stamp(datetime.now(UTC) - timedelta(days=keep_days))
        gone += connection.execute(delete(table).where(table.c.time < oldest)).rowcount
    if keep_rows is not None:
        first = select(table.c.id).order_by(table.c.id.desc()).offset(keep_rows).limit(1).scalar_subquery()
        gone += connection.execute(delete(table).where(table.c.id <= first)).rowcount
    return gone
