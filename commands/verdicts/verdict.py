"""A verdict as the store keeps it, the tags of a line, and what both are called; needs no database."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stages.core.run.errors import UserError

STORE = "verdicts.sqlite"
MOST_DAYS = 365_000  # a thousand years ago is a date still
TAG_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
LONGEST_VALUE = 255  # characters of a tag's value
MOST_TAGS = 32
TAKEN = ("product", "day", "bundle", "method", "station", "source")  # what `history --by` calls other things


@dataclass(frozen=True)
class Verdict:
    """A row of the table `verdicts`, without its id; the fields are named as the columns.

    Attributes:
        picture: name, as it was given; below the folder of `--watch`.
        picture_sha256: of the file's bytes.
        bundle_commit: of the repository that made the bundle; None where it is not known.
        bundle_sha256: of the bundle's manifest, which names all its files by theirs.
        explanations: JSON: scores of the branches.
        time: UTC, as `utc_now` returns it.
        station: the machine or camera.
        source: predict, watch or serve.
        note: how the picture differs from training images; None where it does not.
        tags: what the line says of the picture, as {"lot": "123"}.
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
    note: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A row of the table `unreadable`: a picture that could not be judged, and why; sha256 is "" where unknown."""

    picture: str
    picture_sha256: str
    error: str
    time: str
    station: str
    source: str


def tags_of(words: Iterable[str]) -> dict[str, str]:
    """Return the tags that words such as `lot=123` name.

    Raises:
        UserError: one is no tag, or two contradict each other.
    """
    tags: dict[str, str] = {}
    for word in words:
        key, given, value = word.partition("=")
        if not given:
            raise UserError(f"the tag {word!r} has no value: write it KEY=VALUE, for example lot=123")
        add_tag(tags, key.strip(), value.strip())
    return tags


def add_tag(tags: dict[str, str], key: str, value: str) -> None:
    """Add a tag to others.

    Raises:
        UserError: its key or value cannot be one, it contradicts another one, or they are too many.
    """
    if not TAG_KEY.fullmatch(key):
        raise UserError(f"the tag's key {key!r} is none: it has 1 to 64 letters, digits and _ . -")
    if key in TAKEN:
        raise UserError(f"the tag's key {key!r} is taken: every verdict has a {key} by itself; name another key")
    if not value or len(value) > LONGEST_VALUE or not value.isprintable():
        raise UserError(f"the tag {key} has the value {value[:40]!r}: it has 1 to {LONGEST_VALUE} printable characters")
    if tags.setdefault(key, value) != value:
        raise UserError(f"the tag {key} is both {tags[key]!r} and {value!r}: name one of them")
    if len(tags) > MOST_TAGS:
        raise UserError(f"there are more than {MOST_TAGS} tags: name those that the history is asked by")


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
    """Return a file's name as text that every program and database takes; other bytes are written as escapes."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace").replace("\0", "\\x00")


def as_json(content: Mapping[str, Any]) -> str:
    """Return a mapping as it is stored."""
    return json.dumps(dict(content), ensure_ascii=False)
