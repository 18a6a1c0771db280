"""The tables of a verdict store as of revision HEAD; `commands.verdicts.migrations` makes them, step by step.

A later revision adds tables, as labels of a review, that name a verdict by its `id`, and leaves these as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from commands.verdicts.verdict import Refused, Verdict, stamp

HEAD = "0004"
REVISIONS = ("0001", "0002", "0003", "0004")  # all that are known; the first: SQLite files without tags
VERSION_TABLE = "oddpart_version"  # not Alembic's own name: the database may be shared with another program
APPLICATION = 0x0DD9A27  # in the header of an SQLite file: one of ours
ORIGIN = {":bundle": "bundle_sha256", ":method": "method", ":station": "station", ":source": "source"}


class Moment(TypeDecorator[str]):
    """A moment as `stamp` writes it: text in SQLite, a timestamp with time zone in PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return the type of the column."""
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        """Return what is stored."""
        return datetime.fromisoformat(value) if value and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return what is read."""
        return stamp(value) if isinstance(value, datetime) else value


ONCE = ("picture", "picture_sha256", "bundle_sha256", "station", "tag_set")  # no two verdicts agree in all of them
Key = BigInteger().with_variant(Integer(), "sqlite")  # only an INTEGER counts up by itself in SQLite
METADATA = MetaData()

VERDICTS = Table(
    "verdicts",
    METADATA,
    Column("id", Key, primary_key=True),
    Column("picture", Text, nullable=False),
    Column("picture_sha256", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("bundle_commit", Text),
    Column("bundle_sha256", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("p_value", Double),
    Column("is_anomalous", Boolean, nullable=False),
    Column("unsure", Boolean),
    Column("explanations", Text, nullable=False),
    Column("time", Moment, nullable=False),
    Column("station", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("note", Text),
    Column("day", Text, nullable=False),  # of `time`, for the index
    Column("tag_set", BigInteger, nullable=False),  # see `set_of`
    UniqueConstraint(*ONCE),
    # They cover what the history asks for: a million verdicts are counted and chosen without reading them.
    Index("verdicts_by_day", "product", "day", "tag_set", "is_anomalous", "unsure", "time"),
    Index("verdicts_by_tags", "tag_set", "product", "day", "is_anomalous", "unsure", "time"),
    Index("verdicts_by_time", "time", "is_anomalous", "unsure"),  # the newest, and the oldest to be deleted
    sqlite_autoincrement=True,
)

UNREADABLE = Table(
    "unreadable",
    METADATA,
    Column("id", Key, primary_key=True),
    Column("picture", Text, nullable=False),
    Column("picture_sha256", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("time", Moment, nullable=False),
    Column("station", Text, nullable=False),
    Column("source", Text, nullable=False),
    UniqueConstraint("picture", "picture_sha256", "station"),
    sqlite_autoincrement=True,
)

TAGS = Table(
    "tags",
    METADATA,
    Column("tag_set", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index("tags_by_value", "key", "value"),
)

TABLES = {Verdict: VERDICTS, Refused: UNREADABLE}


def set_of(values: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, str]:
    """Return what a verdict has in common with others of its lot: its tags, and by keys with a colon where it is from.

    So an index of few bytes a verdict counts by any of them.

    Args:
        values: by the columns of `verdicts`.
        tags: of the verdict; no key of theirs has a colon.
    """
    return {**tags, **{key: values[column] for key, column in ORIGIN.items()}}


def tag_set_of(tags: Mapping[str, str]) -> int:
    """Return the number of a set: 63 bits of its hash, so that two programs agree on it."""
    content = json.dumps(dict(tags), sort_keys=True, separators=(",", ":")).encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 1
