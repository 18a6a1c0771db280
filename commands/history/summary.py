"""Counts of verdicts by product, lot, day and whatever else the line says of its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from commands.history.asking import Wanted
from commands.verdicts.schema import ORIGIN, TAGS, VERDICTS
from commands.verdicts.verdict import TAG_KEY
from stages.core.run.errors import UserError

BY = ("product", "lot", "day")  # without --by
COLUMNS = ("product", "day")
WORDS = {key.removeprefix(":"): key for key in ORIGIN}  # what --by calls the keys of an origin
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
            raise UserError(f"--by {word}: name {', '.join((*COLUMNS, *WORDS))}, or the key of a tag, each once")


def keys_of_tags(by: Sequence[str]) -> list[str]:
    """Return the keys of tags among what is counted by; what is counted by without --by is no question of them."""
    return [] if by == BY else [word for word in by if word not in (*COLUMNS, *WORDS)]


def summarise(connection: Connection, wanted: Wanted, by: Sequence[str]) -> dict[tuple[str, ...], Count]:
    """Count verdicts.

    Args:
        connection: of the store.
        wanted: which verdicts; all of them are counted, rejected or not.
        by: product, day, a word of WORDS, or the key of a tag, for which "" counts what has none.

    Returns:
        Counts by the values of `by`, sorted by them.
    """
    keys = {WORDS.get(word, word): word for word in by if word not in COLUMNS}
    sets: dict[int, dict[str, str]] = {}
    if keys:
        statement = select(TAGS.c.tag_set, TAGS.c.key, TAGS.c.value).where(TAGS.c.key.in_(keys))
        for number, key, value in connection.execute(statement):
            sets.setdefault(number, {})[keys[key]] = value
    counts: dict[tuple[str, ...], Count] = {}
    for row in groups(connection, wanted):
        of_row = {**sets.get(row["tag_set"], {}), **{word: row[word] for word in COLUMNS}}
        counts.setdefault(tuple(of_row.get(word, "") for word in by), Count()).add(row)
    return dict(sorted(counts.items()))


def groups(connection: Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the counts of rows that agree in all columns of GROUP.

    The index holds the rows in this order with their times at its end, so the first and the last of a group are found
    by two steps in it.
    """
    columns: list[ColumnElement[Any]] = [VERDICTS.c[name] for name in GROUP]
    counted = select(*columns, func.count().label("number")).where(*wanted.conditions()).group_by(*columns)
    group, one = counted.subquery(), VERDICTS.alias()
    same = [one.c[name] == group.c[name] for name in ("product", "day", "tag_set", "is_anomalous")]
    same += [one.c.unsure.is_not_distinct_from(group.c.unsure), *times_of(wanted).conditions(one)]
    ends = [
        case((group.c.is_anomalous, select(end(one.c.time)).where(and_(*same)).scalar_subquery())).label(name)
        for name, end in (("first", func.min), ("last", func.max))
    ]
    return [dict(row) for row in connection.execute(select(group, *ends)).mappings()]


def times_of(wanted: Wanted) -> Wanted:
    """Return what is asked of the times alone; all else is the same for a whole group."""
    return Wanted(since=wanted.since, until=wanted.until)
