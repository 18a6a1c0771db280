"""Three small evaluations, in the current folder."""

from pathlib import Path

import pytest

from tests.unit.report.case import make_report


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_report(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
