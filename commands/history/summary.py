"""Counts of verdicts by product, lot, day and whatever else the line says of its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from commands.history.asking import Wanted
from commands.verdicts.schema import TAGS, UNTAGGED, VERDICTS
from commands.verdicts.verdict import TAG_KEY
from stages.core.run.errors import UserError

BY = ("product", "lot", "day")  # without --by
INDEXED = ("product", "day")  # columns that the index covers; the others take a look at every row
ROWS = {"bundle": "bundle_sha256", "method": "method", "station": "station", "source": "source"}
GROUP = ("product", "day", "tag_set", "is_anomalous", "unsure")


@dataclass
class Count:
    """Verdicts that have something in common.

    Attributes:
        judged, rejected, unsure: how many there are.
        first, last: the first and the last rejected one's time; None where none is.
    """

    judged: int = 0
    rejected: int = 0
    unsure: int = 0
    first: str | None = None
    last: str | None = None

    @property
    def rate(self) -> float:
        """The share that was rejected, from 0 to 1."""
        return self.rejected / self.judged if self.judged else 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a group of verdicts."""
        number = row["number"]
        self.judged += number
        self.unsure += number if row["unsure"] else 0
        if row["is_anomalous"]:
            self.rejected += number
            self.first = min(self.first or row["first"], row["first"])
            self.last = max(self.last or row["last"], row["last"])

    def cells(self) -> dict[str, Any]:
        """Return the numbers by what they are called in CSV and JSON."""
        return {
            "judged": self.judged,
            "rejected": self.rejected,
            "rejected_rate": round(self.rate, 6),
            "unsure": self.unsure,
            "first_rejected": self.first,
            "last_rejected": self.last,
        }


def check_by(by: Sequence[str]) -> None:
    """Pass when each word is a column or may be a tag's key, and comes once.

    Raises:
        UserError: one is or does not.
    """
    for word in by:
        if not TAG_KEY.fullmatch(word) or by.count(word) > 1:
            raise UserError(f"--by {word}: name {', '.join((*INDEXED, *ROWS))}, or the key of a tag, each once")


def summarise(connection: Connection, wanted: Wanted, by: Sequence[str]) -> dict[tuple[str, ...], Count]:
    """Count verdicts.

    Args:
        connection: of the store.
        wanted: which verdicts; all of them are counted, rejected or not.
        by: product, day, a word of ROWS, or the key of a tag, for which "" counts what has none.

    Returns:
        Counts by the values of `by`, sorted by them.
    """
    counts: dict[tuple[str, ...], Count] = {}
    tags: dict[int, dict[str, str]] = {UNTAGGED: {}}
    if any(word not in (*INDEXED, *ROWS) for word in by):
        for number, key, value in connection.execute(select(TAGS.c.tag_set, TAGS.c.key, TAGS.c.value)):
            if key in by:
                tags.setdefault(number, {})[key] = value
    for row in groups(connection, wanted, [ROWS[word] for word in by if word in ROWS]):
        of_row = {**tags.get(row["tag_set"], {}), **{word: row[word] for word in INDEXED}}
        of_row |= {word: row[column] for word, column in ROWS.items() if column in row}
        counts.setdefault(tuple(of_row.get(word, "") for word in by), Count()).add(row)
    return dict(sorted(counts.items()))


def groups(connection: Connection, wanted: Wanted, more: Sequence[str]) -> list[dict[str, Any]]:
    """Return the counts of rows that agree in all columns of GROUP, and in some more.

    The index holds the rows in this order with their times at its end, so the first and the last of a group are found
    by two steps in it. With other columns every row is read.
    """
    columns: list[ColumnElement[Any]] = [VERDICTS.c[name] for name in (*GROUP, *more)]
    counted = select(*columns, func.count().label("number")).where(*wanted.conditions()).group_by(*columns)
    if more:
        found = counted.add_columns(func.min(VERDICTS.c.time).label("first"), func.max(VERDICTS.c.time).label("last"))
        return [dict(row) for row in connection.execute(found).mappings()]
    group, one = counted.subquery(), VERDICTS.alias()
    same = [one.c[name] == group.c[name] for name in ("product", "day", "tag_set", "is_anomalous")]
    same += [one.c.unsure.is_not_distinct_from(group.c.unsure), *Wanted.conditions(times_of(wanted), one)]
    ends = [
        case((group.c.is_anomalous, select(end(one.c.time)).where(and_(*same)).scalar_subquery())).label(name)
        for name, end in (("first", func.min), ("last", func.max))
    ]
    return [dict(row) for row in connection.execute(select(group, *ends)).mappings()]


def times_of(wanted: Wanted) -> Wanted:
    """Return what is asked of the times alone; all else is the same for a whole group."""
    return Wanted(since=wanted.since, until=wanted.until)
