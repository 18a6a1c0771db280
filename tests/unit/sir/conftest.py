"""Fixtures of SIR's tests."""

from pathlib import Path

import pytest

from tests.unit.sir.case import write_drawn


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two drawn categories and their params, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_drawn(tmp_path)
