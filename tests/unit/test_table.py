"""The rows of a table that break a rule are named, all of them, whatever was raised; an empty table tests nothing."""

import sys
from pathlib import Path

import pytest

from tests.table import new_folder, violations


def test_every_row_that_breaks_the_rule_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def check(value: int, *, wanted: type[Exception] = KeyError) -> None:
        assert value != 1
        if value == 2:
            raise KeyError("gone")
        if value == 3:
            sys.exit("stopped")
        if value == 4:
            with pytest.raises(wanted):
                pass

    found = violations(check, zip(range(6)))
    assert [text.split(": ")[0] for text in found] == [f"row {number}, ({number},)" for number in (1, 2, 3, 4)]
    for text, said in zip(found, ("AssertionError: assert 1 != 1", "'gone'", "stopped", "DID NOT RAISE"), strict=True):
        assert said in text
        assert text in caplog.text
    assert violations(check, [(0,), (5,)]) == []


def test_rows_that_do_not_fit_the_rule_are_named() -> None:
    (text,) = violations(lambda first: None, [(1, 2)])
    assert "row 0, (1, 2)" in text


def test_an_empty_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="the table has no row"):
        violations(print, [])


def test_each_row_has_its_folder(tmp_path: Path) -> None:
    assert len({new_folder(tmp_path) for _ in range(3)}) == 3
