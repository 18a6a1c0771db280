"""Damaged files are findings: no other exception, no hang, no crash, no more memory than the largest image takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SECONDS = {"images": 25.0, "slices": 15.0, "archives": 13.0, "tables": 7.0}
HANG = 30.0  # seconds that a file may take: it does not end a process by itself
MOST_MEMORY = 3_000_000_000  # bytes: a header may announce 100 megapixels


@pytest.mark.slow
@pytest.mark.parametrize("kind", SECONDS)
def test_damaged_files_are_findings(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.property.fuzzing", kind, str(SECONDS[kind])]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, errors="replace",
            timeout=2 * SECONDS[kind] + 60 + HANG, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.fail(f"{kind}: hangs at case {last_case(tmp_path)}")
    assert done.returncode == 0, f"{kind}: case {last_case(tmp_path)}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failures"] == []
    assert found["tried"] > 100
    assert found["refused"] > found["tried"] / 10  # else nothing was damaged
    assert found["memory"] < MOST_MEMORY


def last_case(folder: Path) -> str:
    """The number and name of the file that was read last."""
    return (folder / "trace").read_text().splitlines()[-1]
