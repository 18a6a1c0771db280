"""Experiments run in a temporary folder, which holds what git or DVC tracks."""

import subprocess
from pathlib import Path

import pytest
import yaml

from benchmarks.bench import refuse_untracked_data
from stages.core.run.errors import UserError


def test_data_that_an_experiment_would_not_see_is_refused_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "."], check=True)
    for name in ("tracked/a.png", "bydvc/a.png", "untracked/a.png"):
        Path(name).parent.mkdir()
        Path(name).touch()
    Path("bydvc.dvc").touch()
    subprocess.run(["git", "add", "tracked"], check=True)
    sound = {"a": {"path": "tracked"}, "b": {"path": "bydvc"}, "c": {"path": str(tmp_path / "untracked")}}
    Path("params.yaml").write_text(yaml.safe_dump({"categories": sound}), encoding="utf-8")
    refuse_untracked_data()
    Path("params.yaml").write_text(yaml.safe_dump({"categories": sound | {"d": {"path": "untracked"}}}))
    with pytest.raises(UserError, match="untracked of the product d is tracked neither by git nor by DVC.* absolute"):
        refuse_untracked_data()
