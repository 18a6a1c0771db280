"""Fixtures of the tests of Uninformed Students."""

from pathlib import Path

import pytest

from tests.unit.uninformed_students.case import write_drawn


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Drawn images and their params, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_drawn(tmp_path)
