"""Decisions: one rule of rounding, the order of the fields, and JSON of finite numbers only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.core.io.decision import Decision, read_choice, rounded, write_choice
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class Inner:
    """Numbers behind a decision."""

    share: float


@dataclass(frozen=True)
class Example(Decision):
    """A decision with all kinds of fields."""

    weight: float
    count: int
    reason: str
    constant: bool
    missing: float | None
    numbers: Mapping[str, Inner]


def test_numbers_are_rounded_and_fields_keep_their_order() -> None:
    found = Example(0.123456, 12, "why", False, None, {"a": Inner(2 / 3)}).as_json()
    assert found == {
        "weight": 0.1235, "count": 12, "reason": "why", "constant": False, "missing": None,
        "numbers": {"a": {"share": 0.6667}},
    }  # fmt: skip
    assert list(found) == ["weight", "count", "reason", "constant", "missing", "numbers"]
    assert rounded({"a": 1 / 3, "b": {"c": 1.00005}}) == {"a": 0.3333, "b": {"c": 1.0001}}


def test_choices_are_json_of_finite_numbers(tmp_path: Path) -> None:
    write_choice(tmp_path / "c", {"proposer": "pixels", "score": 0.5})
    assert read_choice(tmp_path / "c") == {"proposer": "pixels", "score": 0.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_choice(tmp_path / "c", {"score": float("nan")})
    (tmp_path / "c").write_text("[1]")
    with pytest.raises(UserError, match="not a JSON object"):
        read_choice(tmp_path / "c")
