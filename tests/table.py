"""One rule for a table of values: every row is tried, and the rows that break the rule are named."""

import logging
import reprlib
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 120
BREAKS = (Exception, SystemExit, pytest.fail.Exception)


def violations(rule: Callable[..., object], rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Call the rule with each row and return a text for each row with which it raised; the log has them all.

    Args:
        rule: raises where a row breaks it, as an assertion or `pytest.raises` does.
        rows: the arguments of each call.

    Returns:
        Number and values of a row, where the rule raised, and what.

    Raises:
        ValueError: there is no row, so nothing would be tested.
    """
    found, number = [], -1
    for number, row in enumerate(rows):
        try:
            rule(*row)
        except BREAKS as error:
            line = traceback.extract_tb(error.__traceback__)[:2][-1].lineno
            found.append(f"row {number}, {SHORT.repr(row)}: line {line}: {type(error).__name__}: {error}")
    if number < 0:
        raise ValueError("the table has no row")
    if found:  # pytest cuts the list of a failed assertion
        logging.getLogger(__name__).error("%s", "\n".join(found))
    return found


def new_folder(parent: Path) -> Path:
    """Make an empty folder for one row."""
    folder = parent / f"row {sum(1 for _ in parent.iterdir())}"
    folder.mkdir()
    return folder
