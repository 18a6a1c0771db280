"""One fault in a section is one finding: the key as it stands in the file, the value found and what is expected."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, PositiveInt, RootModel, model_validator

from stages.core.run.errors import UserError
from stages.core.run.params import Params, Share, validate
from stages.core.runtime.reading import Window

Name = Annotated[str, Field(min_length=2)]


class Passes(Params):
    epochs: PositiveInt
    most: PositiveInt | None = None

    @model_validator(mode="after")
    def check_limit(self) -> Self:
        if self.most == 1:
            raise ValueError("most: 1 is too few")
        return self


class Tagged(Params):
    tag: str
    source: Literal["hub", "release"]


class Local(Params):
    file: str


class Crop(Params):
    kind: Literal["crop"]
    side: PositiveInt | Literal["patch"]


class Flip(Params):
    kind: Literal["flip"]
    share: Share


class Steps(RootModel[list[Annotated[Crop | Flip, Field(discriminator="kind")]]]):
    """A list of sections that a key tells apart."""


class Stage(Params):
    iterations: PositiveInt | Passes = 3
    weights: Tagged | Local | None = None
    steps: Steps = Steps([])
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    scales: Annotated[tuple[Literal[4, 8], ...], Field(min_length=1)] = (4,)
    names: dict[PositiveInt, Name] = {}
    window: Window | None = None
    check: bool = True
    product: dict[str, Any] = {}


FAULTS = {
    "a word for a number or a section": (
        {"iterations": "lots"},
        "iterations is 'lots': expected integer above 0, or section (epochs, most)",
    ),
    "out of a number's range": (
        {"iterations": -5},
        "iterations is -5: expected integer above 0, or section (epochs, most)",
    ),
    "null where it has no meaning": (
        {"iterations": None},
        "iterations is null: expected integer above 0, or section (epochs, most)",
    ),
    "a switch, which pydantic takes for 1": (
        {"iterations": True},
        "iterations is true: expected integer above 0, or section (epochs, most)",
    ),
    "a slip in a key of a union's section": (
        {"iterations": {"epoks": 3}},
        "iterations.epoks: unknown key, did you mean epochs?",
    ),
    "another key": (
        {"iterations": {"steps": 3}},
        "iterations.steps: unknown key, and epochs is missing (known: epochs, most)",
    ),
    "a value in a union's section": ({"iterations": {"epochs": 0}}, "iterations.epochs is 0: expected integer above 0"),
    "a rule of a union's section": ({"iterations": {"epochs": 3, "most": 1}}, "iterations: most: 1 is too few"),
    "a nullable number": (
        {"iterations": {"epochs": 3, "most": "all"}},
        "iterations.most is 'all': expected integer above 0, or null",
    ),
    "a key of one of several sections": (
        {"weights": {"tag": "a"}},
        "weights.source is missing: expected one of `hub`, `release`",
    ),
    "keys of no section": (
        {"weights": {"path": "a"}},
        "weights is {'path': 'a'}: expected section (tag, source), or section (file), or null",
    ),
    "a list's section of an unknown kind": (
        {"steps": [{"kind": "crop", "side": 3}, {"kind": "turn"}]},
        "steps[1].kind is 'turn': expected one of `crop`, `flip`",
    ),
    "one without a kind": ({"steps": [{"side": 3}]}, "steps[0].kind is missing: expected one of `crop`, `flip`"),
    "a key of another kind's section": (
        {"steps": [{"kind": "flip", "share": 0, "side": 3}]},
        "steps[0].side: unknown key (known: kind, share)",
    ),
    "a literal or a number in such a section": (
        {"steps": [{"kind": "crop", "side": "patches"}]},
        "steps[0].side is 'patches': expected integer above 0, or `patch`",
    ),
    "a key called like a kind": (
        {"steps": [{"kind": "crop", "side": 3, "crop": 3}]},
        "steps[0].crop: unknown key (known: kind, side)",
    ),
    "no section in such a list": ({"steps": [3]}, "steps[0] is 3: expected section"),
    "too short a list": ({"blocks": [1]}, "blocks is [1]: expected list of 3, each (integer above 0), or null"),
    "too long a list": (
        {"blocks": [1, 2, 3, 4]},
        "blocks is [1, 2, 3, 4]: expected list of 3, each (integer above 0), or null",
    ),
    "one value of a list": ({"blocks": [1, 0, 3]}, "blocks[1] is 0: expected integer above 0"),
    "an empty list": ({"scales": []}, "scales is []: expected list of (one of `4`, `8`), at least 1 of them"),
    "a key that is no number": ({"names": {"lid": "lid"}}, "names has the key 'lid': expected integer above 0"),
    "a value of a numbered key": ({"names": {2: "x"}}, "names.2 is 'x': string should have at least 2 characters"),
    "a key that is no text": ({True: 3}, "has the key true: expected text"),
    "a part of another layer": ({"window": {"level": 1}}, "window.width is missing: expected number"),
    "a long value": ({"check": "x" * 100}, f"check is '{'x' * 78}…: expected true or false"),
    "no section": (
        3,
        "is 3: expected section (iterations, weights, steps, blocks, scales, names, window, check, product)",
    ),
}


@pytest.mark.parametrize(("value", "finding"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_one_finding(value: Any, finding: str) -> None:
    with pytest.raises(UserError) as error:
        validate(Stage, value, where="stage", file=Path("some.yaml"))
    between = " " if finding.startswith(("is ", "has ")) else "."
    assert str(error.value) == f"some.yaml: stage{between}{finding}"


def test_all_faults_are_found_at_once() -> None:
    value = {"check": 3, "iterations": {"epoks": 1, "most": 0}, "blocks": [0, True, 1], "scale": 4}
    with pytest.raises(UserError) as error:
        validate(Stage, value, file=Path("some.json"))
    expected = {
        "iterations.epoks: unknown key, did you mean epochs?", "scale: unknown key, did you mean scales?",
        "check is 3: expected true or false", "iterations.most is 0: expected integer above 0, or null",
        "blocks[0] is 0: expected integer above 0", "blocks[1] is true: expected integer above 0",
    }  # fmt: skip
    found = str(error.value).removeprefix("some.json: ").split("; ")
    assert set(found) == expected
    assert len(found) == len(expected)


def test_what_is_right_is_taken() -> None:
    value = {"iterations": {"epochs": 3}, "check": False, "product": {"any": True}, "weights": {"file": "a"}}
    assert validate(Stage, value).model_dump(exclude_unset=True) == value
