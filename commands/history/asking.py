"""Which verdicts are asked for, as conditions that the index of the store answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, select

from commands.verdicts.schema import ORIGIN, TAGS, VERDICTS
from commands.verdicts.store import whole
from commands.verdicts.verdict import TAKEN, stamp
from stages.core.run.errors import UserError

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS = "write 2026-11-30, 2026-11-30T14:05 (UTC without a zone), or how long ago: 90m, 12h, 7d, 2w"


@dataclass(frozen=True)
class Wanted:
    """Which verdicts.

    Attributes:
        product: its name; all where None.
        since, until: as `stamp` writes them, the first one included; any time where None.
        tags: what a verdict has to have.
        rejected, unsure: list these only; a summary counts all.
    """

    product: str | None = None
    since: str | None = None
    until: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    rejected: bool = False
    unsure: bool = False

    def conditions(self, table: FromClause = VERDICTS) -> Iterator[ColumnElement[bool]]:
        """Yield what a row has to fulfil for a summary; the day comes first in the index, then the time."""
        columns = table.c
        if self.product is not None:
            yield columns.product == self.product
        if self.since is not None:
            yield columns.day >= self.since[:10]
            yield columns.time >= self.since
        if self.until is not None:
            yield columns.day <= self.until[:10]
            yield columns.time < self.until
        for key, value in self.tags.items():
            yield columns.tag_set.in_(select(TAGS.c.tag_set).where(TAGS.c.key == key, TAGS.c.value == value))

    def listed(self) -> Iterator[ColumnElement[bool]]:
        """Yield what a row has to fulfil for the list."""
        yield from self.conditions()
        if self.rejected:
            yield VERDICTS.c.is_anomalous.is_(True)
        if self.unsure:
            yield VERDICTS.c.unsure.is_(True)


def moment_of(text: str, option: str, *, end: bool = False) -> str:
    """Return the moment that a text names, as `stamp` writes it.

    Args:
        text: a date, a time, or how long ago.
        option: for the message.
        end: whether a date means the end of that day.

    Raises:
        UserError: it names none.
    """
    try:
        if text[-1:] in UNITS and text[:-1].isascii() and text[:-1].isdigit():
            return stamp(datetime.now(UTC) - timedelta(**{UNITS[text[-1]]: int(text[:-1])}))
        moment = datetime.fromisoformat(text)
        if end and len(text) in (len("20261130"), len("2026-11-30")) and "T" not in text:
            moment += timedelta(days=1)
        return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise UserError(f"{option} {text!r}: is no time: {FORMS}") from None


def check_known(connection: Connection, wanted: Wanted, by: Iterable[str], store: str) -> None:
    """Pass when the store knows the product and the keys of the tags; a value that never came is a good question.

    Args:
        connection: of the store.
        wanted: which verdicts.
        by: keys of tags that a summary counts by.
        store: its name.

    Raises:
        UserError: it does not: most likely a name is misspelt.
    """
    if wanted.product is not None:
        one = select(VERDICTS.c.id).where(VERDICTS.c.product == wanted.product).limit(1)
        if connection.execute(one).first() is None:
            raise UserError(f"{store}: has no verdict on {wanted.product!r}: {among(products(connection))}")
    for key in (*wanted.tags, *by):
        if connection.execute(select(TAGS.c.key).where(TAGS.c.key == key).limit(1)).first() is None:
            keys = connection.execute(select(TAGS.c.key).distinct().order_by(TAGS.c.key)).scalars()
            known = [one for one in keys if one not in ORIGIN]
            words = f"{', '.join(TAKEN)}, which every verdict has; tags are {', '.join(known) or 'none yet'}"
            remedy = among(known) if key in wanted.tags else f"count --by {words}"
            raise UserError(f"{store}: no verdict has a tag {key!r}: {remedy}")


def products(connection: Connection) -> list[str]:
    """Return the names of all products, each found by one step in the index."""
    found: list[str] = []
    following = select(VERDICTS.c.product).order_by(VERDICTS.c.product).limit(1)
    name = connection.execute(following).scalar()
    while name is not None:
        found.append(name)
        name = connection.execute(following.where(VERDICTS.c.product > name)).scalar()
    return found


def among(names: list[str]) -> str:
    """Return what there is to choose from."""
    return f"name one of {', '.join(names)}" if names else "there is none yet"


def rows(connection: Connection, wanted: Wanted, *, limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield verdicts with their tags, the newest first.

    Args:
        connection: of the store.
        wanted: which.
        limit: so many at most; all where None.
    """
    # Chosen by the covering index first: only rows that are shown are read.
    chosen = select(VERDICTS.c.id).where(*wanted.listed()).order_by(VERDICTS.c.time.desc(), VERDICTS.c.id.desc())
    statement = select(VERDICTS).where(VERDICTS.c.id.in_(chosen.limit(limit))) if limit is not None else (
        select(VERDICTS).where(*wanted.listed())
    )  # fmt: skip
    statement = statement.order_by(VERDICTS.c.time.desc(), VERDICTS.c.id.desc())
    known: dict[int, dict[str, str]] = {}
    for row in connection.execution_options(yield_per=1000).execute(statement).mappings():
        yield whole(connection, dict(row), known)
