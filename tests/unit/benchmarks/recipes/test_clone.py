"""The clone in which recipes run: what is left of earlier runs, and which stages a method needs."""

from pathlib import Path

import pytest

from benchmarks.recipes import clone
from benchmarks.recipes.clone import evaluate, usable_lock
from stages.core.run.errors import UserError
from tests.architecture.source_files import ROOT


def test_evaluation_runs_alone_after_the_stages_of_its_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(clone, "command", lambda *words, cwd: commands.append([*words[3:]]))
    evaluate(ROOT, ["pin_tray", "elpv_mono"], ["patchcore"])
    first, second = commands
    needed = {
        f"{stage}@{name}" for stage in ("patchcore", "split", "pseudo_label") for name in ("pin_tray", "elpv_mono")
    }
    assert (first[0], set(first[1:])) == ("repro", needed)
    assert second == ["repro", "--single-item", "evaluation@pin_tray", "evaluation@elpv_mono"]
    with pytest.raises(UserError, match="no stage scores gone on pin_tray: see `dvc stage list`"):
        evaluate(ROOT, ["pin_tray"], ["gone", "patchcore"])


@pytest.mark.parametrize("left", ["", "schema: '2.0'\n", "schema: '2.0'\nstages:\n  split@lag:\n    deps: [", "3"])
def test_a_lock_that_a_killed_run_damaged_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: str
) -> None:
    lock = tmp_path / "dvc.lock"
    assert usable_lock(lock) is None
    assert not caplog.text
    lock.write_text("schema: '2.0'\nstages:\n  split@lag: {cmd: x}\n", encoding="utf-8")
    assert usable_lock(lock) == lock.read_bytes()
    lock.write_text(left, encoding="utf-8")
    assert usable_lock(lock) is None
    assert "is damaged, a run was killed while it was written" in caplog.text
