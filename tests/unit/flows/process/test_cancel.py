"""A process group is killed as a whole."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from flows.process.cancel import kill_group, living_members

# Four processes, 100 MB each: the kernel takes a moment to free them before it closes the files of the dead.
LARGE_FAMILY = """
import os, pathlib, time
os.fork(), os.fork()
memory = b"x" * 100_000_000
pathlib.Path(str(os.getpid())).touch()
time.sleep(600)
"""


def test_a_killed_group_is_gone_when_the_kill_returns(tmp_path: Path, wait_for: Any) -> None:
    leader = subprocess.Popen([sys.executable, "-c", LARGE_FAMILY], cwd=tmp_path, process_group=0)
    other = subprocess.Popen(["sleep", "600"], process_group=0)
    try:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 4)
        assert set(living_members(leader.pid)) == {int(path.name) for path in tmp_path.iterdir()}
        kill_group(leader.pid)
        assert not list(living_members(leader.pid))
        assert list(living_members(other.pid)) == [other.pid]
        assert leader.wait() == -signal.SIGKILL
        kill_group(leader.pid)  # nothing to kill is no error
    finally:
        other.kill()
        other.wait()
