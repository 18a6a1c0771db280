"""A clone is held by one run, and free again however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.site.clone import LOCK_FILE, dead_holder, hold_clone
from stages.core.run.errors import UserError

ROOT = Path(__file__).parents[4]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_one_run_holds_a_clone(clone: Path) -> None:
    with hold_clone(clone, flow_run_id="first") as before:
        assert before is None
        assert dead_holder(clone) is None
        with (
            pytest.raises(UserError, match=f"another run holds {clone} .process {os.getpid()} on"),
            hold_clone(clone, flow_run_id="second"),
        ):
            pass
    with hold_clone(clone, flow_run_id="third") as before:
        assert before is None


def test_a_killed_holder_leaves_its_record_and_no_lock(clone: Path, wait_for: Any) -> None:
    code = (
        "from pathlib import Path; from flows.site.clone import hold_clone; import time\n"
        "with hold_clone(Path('.'), flow_run_id='dead'): Path('held').touch(); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=clone, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for((clone / "held").exists)
    assert dead_holder(clone) is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    record = dead_holder(clone)
    assert record is not None
    assert (record.flow_run_id, record.process) == ("dead", holder.pid)
    with hold_clone(clone, flow_run_id="next") as before:
        assert before == record
    assert dead_holder(clone) is None


def test_half_a_record_is_no_error(clone: Path) -> None:
    (clone / LOCK_FILE).parent.mkdir()
    (clone / LOCK_FILE).write_text('{"flow_run_id": "x", "ho')
    assert dead_holder(clone) is None
    with hold_clone(clone, flow_run_id=None) as before:
        assert before is None


def test_a_file_in_place_of_dvcs_folder_is_named(clone: Path) -> None:
    (clone / ".dvc/tmp").touch()
    with pytest.raises(UserError, match=r".dvc/tmp is a file"), hold_clone(clone, flow_run_id=None):
        pass


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no clone of this repository"), hold_clone(tmp_path, flow_run_id=None):
        pass
