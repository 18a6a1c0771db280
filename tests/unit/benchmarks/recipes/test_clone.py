"""The clone in which recipes run: what is left of earlier runs, and which methods are on."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.recipes.clone import switch_methods, usable_lock
from stages.core.run.errors import UserError
from tests.table import new_folder, violations


def test_methods_are_switched_on_alone_and_on_all_products() -> None:
    """So that evaluation, which needs what all methods that are on have made, runs no other method's stages."""
    params: dict[str, Any] = {"categories": {"a": {"source": "x"}}, "methods": {}}
    params["methods"]["first"] = {"categories": params["categories"], "stages": ["one"]}
    params["methods"]["second"] = {"categories": {}, "universal": ["u"], "stages": ["two"]}
    switch_methods(params, {"second": {"universal": ["v"]}})
    assert params["methods"]["first"] == {"categories": {}, "stages": ["one"]}
    assert params["methods"]["second"] == {"categories": params["categories"], "universal": ["v"], "stages": ["two"]}
    with pytest.raises(UserError, match="there is no gone: known are first, second"):
        switch_methods(params, {"gone": {}})


def test_a_lock_that_a_killed_run_damaged_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def check(left: str) -> None:
        folder = new_folder(tmp_path)
        caplog.clear()
        lock = folder / "dvc.lock"
        assert usable_lock(lock) is None
        assert not caplog.text
        lock.write_text("schema: '2.0'\nstages:\n  split@lag: {cmd: x}\n", encoding="utf-8")
        assert usable_lock(lock) == lock.read_bytes()
        lock.write_text(left, encoding="utf-8")
        assert usable_lock(lock) is None
        assert "is damaged, a run was killed while it was written" in caplog.text

    values = ["", "schema: '2.0'\n", "schema: '2.0'\nstages:\n  split@lag:\n    deps: [", "3"]
    assert violations(check, zip(values)) == []
