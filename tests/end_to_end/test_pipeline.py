"""The real DAG on a tiny product: it detects, it reruns what changed and only that, it survives a kill."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.end_to_end.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STAGES_OF_AECSAD = {
    "download", "split", "pseudo_label", "cluster", "lsa", "segmentation", "histogram", "student_teacher",
    "normalization",
}  # fmt: skip


def test_planted_defects_score_higher(workspace: Workspace) -> None:
    metrics = json.loads((workspace.root / "metrics/aecsad/tiny.json").read_text(encoding="utf-8"))
    assert metrics["image_auroc"]["logical"] > 0.8
    assert metrics["image_auroc"]["structural"] > 0.8
    assert metrics["images"]["normal"] == 8
    assert metrics["pixel_auroc"]["all"] > 0.6


def test_every_stage_is_in_the_lock(workspace: Workspace) -> None:
    lock = (workspace.root / "dvc.lock").read_text(encoding="utf-8")
    for stage in STAGES_OF_AECSAD:
        assert f"{stage}@tiny:" in lock
    assert "evaluation@aecsad-tiny:" in lock
    assert (workspace.root / "artifacts/report/index.html").stat().st_size > 10_000


def test_a_second_run_runs_nothing(workspace: Workspace) -> None:
    assert workspace.stages_run() == set()
    assert workspace.dvc("status").strip().endswith("Data and pipelines are up to date.")


def test_editing_a_room_reruns_only_its_part(workspace: Workspace) -> None:
    module = workspace.root / "stages/aecsad/histogram/__main__.py"
    before = module.read_text(encoding="utf-8")
    module.write_text(before + "\n# a comment that changes no output\n", encoding="utf-8")
    try:
        # its scores come out the same, so nothing follows but the report, which shows the seconds of every stage
        assert workspace.stages_run() == {"histogram@tiny", "report"}
    finally:
        module.write_text(before, encoding="utf-8")
        workspace.dvc("repro")


def test_the_same_seed_gives_the_same_bytes(workspace: Workspace) -> None:
    artefacts = ["aecsad/segmentation/tiny/label_maps.npz", "scores/aecsad/tiny/scores.parquet"]
    before = [(workspace.root / "artifacts" / name).read_bytes() for name in artefacts]
    workspace.dvc("repro", "--force", "--single-item", "segmentation@tiny", "student_teacher@tiny")
    workspace.dvc("repro")
    assert [(workspace.root / "artifacts" / name).read_bytes() for name in artefacts] == before


def test_predict_gives_the_scores_of_the_pipeline(workspace: Workspace, tmp_path: Path) -> None:
    images = workspace.root / "data/tiny/test"
    options = ["--category", "tiny", str(images), "--output", str(tmp_path / "out")]
    command = [sys.executable, "-m", "stages.predict", *options]
    subprocess.run(command, cwd=workspace.root, env=workspace.environment, check=True, capture_output=True)
    scores = pd.read_parquet(workspace.root / "artifacts/scores/aecsad/tiny/scores.parquet").set_index("image_id")
    with (tmp_path / "out/scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    for row in rows:
        image_id = Path(row["path"]).relative_to(images.parent).with_suffix("").as_posix()
        assert float(row["score"]) == scores.loc[image_id, "score"]


@pytest.mark.parametrize("delay", [0, 30], ids=["during the imports", "during the training"])
def test_a_killed_run_leaves_no_orphan_and_a_rerun_succeeds(workspace: Workspace, delay: int) -> None:
    workspace.set_params({"profiles.smoke.aecsad.student_teacher.training.iterations": 100_000})
    with_dash = {**workspace.environment, "SHELL": "/bin/sh"}  # where it is dash, it stays between DVC and the stage
    process = subprocess.Popen(
        workspace.command("repro", "--single-item", "student_teacher@tiny"),
        cwd=workspace.root, env=with_dash,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        child = wait_for_stage(workspace.root)
        time.sleep(delay)
        process.kill()
        process.wait(timeout=10)
        deadline = time.monotonic() + (60 if delay == 0 else 5)  # until its imports are done, or at once
        while is_alive(child) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not is_alive(child)
    finally:
        process.kill()
        workspace.set_params({"profiles.smoke.aecsad.student_teacher.training.iterations": 31 + delay})
    assert "student_teacher@tiny" in workspace.stages_run()
    assert not list((workspace.root / "artifacts").rglob("*.tmp"))


def test_a_truncated_image_stops_the_run_before_training(workspace: Workspace) -> None:
    victim = workspace.root / "data/tiny/train/good/003.png"
    before = victim.read_bytes()
    victim.write_bytes(before[: len(before) // 2])
    try:
        output = workspace.dvc("repro", check=False)
        assert "train/good/003.png" in output
        assert "Traceback" not in output
        assert "Running stage 'student_teacher@tiny'" not in output
    finally:
        victim.write_bytes(before)
    workspace.dvc("repro")
    assert workspace.stages_run() == set()


def wait_for_stage(root: Path, seconds: float = 60) -> int:
    """The process id of the stage that dvc started in the folder `root`, itself or through a shell."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                if b"\0-m\0stages.aecsad.student_teacher\0" in command and (folder / "cwd").readlink() == root:
                    return int(folder.name)
            except OSError:
                continue
        time.sleep(0.1)
    raise AssertionError("dvc did not start the stage")


def is_alive(process: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, ProcessLookupError):
        return False
