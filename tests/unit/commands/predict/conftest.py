"""What the tests of `oddpart predict` have in common."""

from pathlib import Path

import pytest

from stages.export.recipes import TrainedFiles
from tests.unit.commands.predict.light_run import parts, score


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("commands.predict.scoring.trained_files", lambda *names: TrainedFiles("aecsad", {}))
    monkeypatch.setattr("commands.predict.scoring.load_parts", lambda files, device: parts())
    monkeypatch.setattr("commands.predict.scoring.load_value", lambda key, optional=False: 0)
    monkeypatch.setattr("commands.predict.scoring.load_seed", lambda: 0)
    monkeypatch.setattr("commands.predict.scoring.names_of", lambda components, category: {})
    monkeypatch.setattr("commands.predict.scoring.predict", score)
