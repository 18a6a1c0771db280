"""A full disk under a file of verdicts: said at once, from the opening on, and not waited for as a server is."""

import logging
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import commands.verdicts.engines as engines
from commands.verdicts.store import VerdictStore
from stages.core.run.errors import UserError
from tests.table import violations
from tests.unit.commands.verdicts.samples import VERDICT


def test_a_full_disk_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite refuses to let a file grow beyond so many pages as it refuses it on a full disk, with the same code."""
    set_up = engines.set_up_sqlite

    def check(pages: int) -> None:
        def full(connection: Any, record: object) -> None:
            set_up(connection, record)
            connection.execute(f"PRAGMA max_page_count={pages}")

        monkeypatch.setattr(engines, "set_up_sqlite", full)
        started = time.monotonic()
        with pytest.raises(UserError, match="v.sqlite: cannot be written: the disk is full: make space"):
            fill(tmp_path / f"{pages}-v.sqlite")
        assert time.monotonic() - started < 5
        assert not caplog.records

    with caplog.at_level(logging.WARNING):
        assert violations(check, [(1,), (5,), (40,)]) == []


def fill(path: Path) -> None:
    """Write until the file has no more room."""
    with VerdictStore(path, patience=20) as store:
        for number in range(100):
            store.write([replace(VERDICT, picture=f"{number}{'x' * 2000}")])


def test_what_the_file_itself_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all goes through SQLAlchemy: what switches the log on asks the file."""

    def refused(*_arguments: object, **_named: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("commands.verdicts.migrating.set_up_file", refused)
    with pytest.raises(UserError, match="v.sqlite: cannot be written: the disk is full: make space"):
        VerdictStore(tmp_path / "v.sqlite")
