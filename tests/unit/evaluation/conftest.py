"""The small product of these tests, in the current folder."""

from pathlib import Path

import pytest

from tests.unit.evaluation.case import Case, make_case


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(tmp_path)
    return make_case(tmp_path)
