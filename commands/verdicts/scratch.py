"""Lists of any length in little memory: a private database in a temporary file, which goes with its connection."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
CACHE = -2000  # KiB that stay in memory (negative: KiB, not pages)


def scratch_database(*statements: str) -> sqlite3.Connection:
    """Open a new database that nobody else sees; a kill leaves nothing of it.

    Args:
        statements: that make its tables.
    """
    database = sqlite3.connect("", isolation_level=None)  # "": a temporary file, made when the cache is full
    for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", f"PRAGMA cache_size={CACHE}", *statements):
        database.execute(statement)
    return database


@dataclass(frozen=True)
class OnDisk(Generic[Item]):
    """A list that lies in a database; it may be walked through again and again.

    Attributes:
        database: that holds it.
        query: its rows in order.
        build: makes an item of the columns of a row.
        size: number of items.
    """

    database: sqlite3.Connection
    query: str
    build: Callable[..., Item]
    size: int

    def __iter__(self) -> Iterator[Item]:
        """Yield the items one by one."""
        for row in self.database.execute(self.query):
            yield self.build(*row)

    def __len__(self) -> int:
        """Return the number of items."""
        return self.size


class RowsByKey:
    """Rows that are found by a text, of which the last one counts."""

    def __init__(self, rows: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
        """Take the rows."""
        self.database = scratch_database("CREATE TABLE rows (key BLOB PRIMARY KEY, row TEXT) WITHOUT ROWID")
        texts = ((key, json.dumps(dict(row))) for key, row in rows)
        self.database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", texts)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.database.execute("SELECT count(*) FROM rows").fetchone()[0])

    def get(self, key: bytes) -> dict[str, Any] | None:
        """Return the row of a key, None where there is none."""
        found = self.database.execute("SELECT row FROM rows WHERE key = ?", (key,)).fetchone()
        return None if found is None else dict(json.loads(found[0]))
