"""docs/configuration.md is what the params models say, and they say something of every key."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, PositiveInt

from commands.configuration.__main__ import PAGE, attribute_texts, keys_without_text, page, rows_of, table
from stages.core.run.kinds import in_words
from tests.architecture.source_files import ROOT


@pytest.fixture(autouse=True)
def repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m commands.configuration --write`"


def test_every_key_has_a_text() -> None:
    assert keys_without_text() == [], "describe them in `Attributes:` of their model"


class Inner(BaseModel):
    """A section.

    Attributes:
        rate, share: of images,
            in two lines.
    """

    rate: float = Field(gt=0, le=1)
    share: float


class Outer(BaseModel):
    """More.

    Attributes:
        kind: one | other.
        inner: or none.

    Something else: this is no key.
    """

    kind: Literal["one", "other"]
    count: PositiveInt | None
    inner: Inner | None


class Fast(BaseModel):
    """One of two.

    Attributes:
        name: "fast".
        size: in pixels.
    """

    name: Literal["fast"]
    size: int


class Slow(BaseModel):
    """The other.

    Attributes:
        name: "slow".
        sizes: in pixels, each.
    """

    name: Literal["slow"]
    sizes: tuple[int, ...]


class Either(BaseModel):
    """Values of different models.

    Attributes:
        steps: a number, or more about it.
    """

    network: Annotated[Fast | Slow, Field(discriminator="name")]
    steps: PositiveInt | Inner


def test_rows_are_keys_of_every_model_that_a_value_has() -> None:
    fast = {"network": {"name": "fast", "size": 3}, "steps": 2}
    slow = {"network": {"name": "slow", "sizes": [3, 4]}, "steps": {"rate": 0.5, "share": 1}}
    found = {row.key: (row.kind, row.values, row.text) for row in rows_of([Either], [fast, slow])}
    assert found == {
        "network.name": ("one of `fast`, `slow`", ("`fast`", "`slow`"), '"fast". "slow".'),
        "network.size": ("integer", ("`3`", "–"), "in pixels."),
        "network.sizes": ("list of integer", ("–", "`[3, 4]`"), "in pixels, each."),
        "steps": ("integer above 0, or section", ("`2`", "section"), "a number, or more about it."),
        "steps.rate": ("number above 0 to 1", ("–", "`0.5`"), "of images, in two lines."),
        "steps.share": ("number", ("–", "`1`"), "of images, in two lines."),
    }


def test_rows_are_keys_of_values_and_models() -> None:
    filled = {"kind": "one", "count": 3, "inner": {"rate": 0.5, "share": 1.0}}
    empty = {"kind": "other", "count": None, "inner": None, "strange": 1}
    found = {row.key: (row.kind, row.values, row.text) for row in rows_of([Outer], [filled, empty])}
    assert found == {
        "kind": ("one of `one`, `other`", ("`one`", "`other`"), "one | other."),
        "count": ("integer above 0, or null", ("`3`", "`null`"), ""),
        "inner": ("section, or null", ("section", "`null`"), "or none."),
        "inner.rate": ("number above 0 to 1", ("`0.5`", "–"), "of images, in two lines."),
        "inner.share": ("number", ("`1.0`", "–"), "of images, in two lines."),
        "strange": ("section", ("–", "`1`"), ""),  # no key of the model: it has no text
    }
    assert "| `kind` | one of `one`, `other` | `one` | One \\| other. |" in table([*rows_of([Outer], [filled])], ["a"])


def test_kinds_in_words() -> None:
    share = Annotated[float, Field(ge=0, lt=1)]
    assert in_words(tuple[share, share]) == "list of 2, each (number from 0 to below 1)"
    assert in_words(tuple[int, ...]) == "list of integer"
    assert in_words(Path | None) == "path, or null"
    assert attribute_texts(Inner) == dict.fromkeys(("rate", "share"), "of images, in two lines.")
