"""The real DAG on a tiny product: it detects, it reruns what changed and only that, it survives a kill."""

import csv
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.end_to_end.conftest import DATA
from tests.end_to_end.workspace import Workspace

pytestmark = pytest.mark.timeout(900)
STAGES = {
    "download", "split", "pseudo_label", "cluster", "segmentation", "histogram", "student_teacher", "score_fusion",
    "patchcore", "hybrid_fusion", "evaluation",
}  # fmt: skip


def test_synthetic_defects_score_higher(workspace: Workspace) -> None:
    metrics = read_metrics(workspace)["aecsad"]
    assert metrics["image_auroc"]["logical"] > 0.8
    assert metrics["image_auroc"]["structural"] > 0.8
    assert metrics["images"]["normal"] == 8
    assert metrics["pixel_auroc"]["all"] > 0.55  # short trainings: 0.6 here, chance is 0.5


def test_every_stage_is_in_the_lock(workspace: Workspace) -> None:
    lock = (workspace.root / "dvc.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"^  (\w+)@tiny:", lock, re.MULTILINE)) - {"export"} == STAGES  # test_export adds that
    assert (workspace.root / "artifacts/report/index.html").stat().st_size > 10_000


def test_dvc_draws_the_training_curves(workspace: Workspace) -> None:
    names = [f"metrics/plots/training/tiny/{stage}.csv" for stage in ("segmentation", "student_teacher")]
    drawn = json.loads(workspace.dvc("plots", "show", "--json", *names))
    for name in names:
        curve = pd.read_csv(workspace.root / name)
        assert 10 <= len(curve) <= 101
        assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]
        (plot,) = drawn["data"][name]
        assert len(plot["content"]["data"]["values"]) == len(curve)


def test_every_stage_leaves_its_cost_and_the_report_reads_it(workspace: Workspace) -> None:
    """No output of the stages: DVC knows nothing of them, git does."""
    costs = {path.stem: json.loads(path.read_text()) for path in (workspace.root / "metrics/cost/tiny").glob("*.json")}
    assert set(costs) == STAGES
    assert all(cost["peak_mb"] > 10 and cost["seconds"] >= 0 for cost in costs.values())
    assert "metrics/cost/tiny" not in (workspace.root / "dvc.lock").read_text(encoding="utf-8")


def test_a_second_run_runs_nothing(workspace: Workspace) -> None:
    assert workspace.stages_run() == set()
    assert workspace.dvc("status").strip().endswith("Data and pipelines are up to date.")


def test_a_change_reruns_its_stage_and_what_depends_on_its_outputs(workspace: Workspace) -> None:
    """A comment in histogram changes no output, so hybrid_fusion, which reads them, does not follow.

    Another weight in score_fusion changes scores: the product's evaluation follows. Put back, all come from DVC's
    run-cache but evaluation and report, whose outputs in git are neither metrics nor plots.
    """
    weight = "profiles.smoke.aecsad.score_fusion.branch_weights.histogram"
    module = workspace.root / "stages/aecsad/histogram/__main__.py"
    before = module.read_text(encoding="utf-8")
    metrics = (workspace.root / "metrics/evaluation/tiny.json").read_bytes()
    module.write_text(before + "\n# a comment that changes no output\n", encoding="utf-8")
    workspace.set_params({weight: 2.0})
    try:
        expected = {"histogram@tiny", "score_fusion@tiny", "evaluation@tiny", "report"}
        assert workspace.stages_run() == expected
    finally:
        module.write_text(before, encoding="utf-8")
        workspace.set_params({weight: 1.0})
        put_back = workspace.stages_run()
    assert put_back == {"evaluation@tiny", "report"}
    assert (workspace.root / "metrics/evaluation/tiny.json").read_bytes() == metrics


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(workspace: Workspace) -> None:
    artefacts = ["aecsad/segmentation/tiny/label_maps.npz", "scores/tiny/aecsad/scores.parquet"]
    before = [(workspace.root / "artifacts" / name).read_bytes() for name in artefacts]
    workspace.dvc("repro", "--force", "--single-item", "segmentation@tiny", "student_teacher@tiny")
    workspace.dvc("repro")
    assert [(workspace.root / "artifacts" / name).read_bytes() for name in artefacts] == before


def test_predict_gives_the_scores_of_the_pipeline(workspace: Workspace, tmp_path: Path) -> None:
    """By the command line, for the method that fuses all branches; tests/unit/commands/predict tries the others."""
    images = workspace.root / DATA / "test"
    options = ["--category", "tiny", str(images), "--output", str(tmp_path / "out")]
    command = [sys.executable, "-m", "commands", "predict", *options]
    subprocess.run(command, cwd=workspace.root, env=workspace.environment, check=True, capture_output=True)
    scores = pd.read_parquet(workspace.root / "artifacts/scores/tiny/oddpart/scores.parquet").set_index("image_id")
    with (tmp_path / "out/scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    for row in rows:
        image_id = Path(row["path"]).relative_to(images.parent).with_suffix("").as_posix()
        assert float(row["score"]) == scores.loc[image_id, "score"]


@pytest.mark.slow
def test_a_stage_that_is_still_importing_dies_with_dvc(workspace: Workspace) -> None:
    with changed_iterations(workspace, 100_000), started_training(workspace) as (dvc, stage):
        dvc.kill()
        wait_for_end(stage, seconds=60)  # its imports come first
    assert not list((workspace.root / "artifacts").rglob("*.tmp"))


@pytest.mark.slow
def test_a_training_killed_at_three_steps_ends_with_the_same_weights_and_curve(workspace: Workspace) -> None:
    weights = workspace.root / "artifacts/aecsad/student_teacher/tiny/model.safetensors"
    curve = workspace.root / "metrics/plots/training/tiny/student_teacher.csv"
    steps = sorted(random.sample(range(2, 40), 3))
    with changed_iterations(workspace, 80):  # far more than the last of them: the kill comes before the end
        workspace.dvc("repro", "--single-item", "student_teacher@tiny")
        expected = weights.read_bytes(), curve.read_bytes()
        for step in steps:
            with started_training(workspace) as (dvc, stage):
                wait_for_checkpoint(workspace.root, step, stage=stage, seconds=240)
                dvc.kill()
                wait_for_end(stage, seconds=5)
            assert not weights.exists() and not curve.exists()
        output = workspace.dvc("repro", "--single-item", "--force", "student_teacher@tiny")  # not from the cache
        assert "continuing after iteration" in output
        assert (weights.read_bytes(), curve.read_bytes()) == expected, f"killed after steps {steps}"
    assert not list((workspace.root / "artifacts").rglob("*.tmp"))


def test_a_truncated_image_stops_the_run_before_training(workspace: Workspace) -> None:
    victim = workspace.root / DATA / "train/good/003.png"
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


def read_metrics(workspace: Workspace) -> Any:
    return json.loads((workspace.root / "metrics/evaluation/tiny.json").read_text(encoding="utf-8"))


@contextmanager
def changed_iterations(workspace: Workspace, iterations: int) -> Iterator[None]:
    """Another length of the students' training; all is reproduced as it was at the end."""
    key = "profiles.smoke.aecsad.student_teacher.training.iterations"
    before = workspace.params()["profiles"]["smoke"]["aecsad"]["student_teacher"]["training"]["iterations"]
    workspace.set_params({key: iterations})
    try:
        yield
    finally:
        workspace.set_params({key: before})
        workspace.dvc("repro")


@contextmanager
def started_training(workspace: Workspace) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A `dvc repro` that trains the students and saves every step, and the process id of its stage."""
    environment = {**workspace.environment, "ODDPART_CHECKPOINT_SECONDS": "0", "SHELL": "/bin/sh"}
    process = subprocess.Popen(  # where /bin/sh is dash, it stays between DVC and the stage
        workspace.command("repro", "--single-item", "--force", "--no-run-cache", "student_teacher@tiny"),
        cwd=workspace.root, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process, wait_for_stage(workspace.root)
    finally:
        process.kill()
        process.wait(timeout=10)


def wait_for_checkpoint(root: Path, step: int, *, stage: int, seconds: float) -> None:
    """Return once the students' newest checkpoint is of that step or a later one, while their stage still runs."""
    deadline = time.monotonic() + seconds
    saved = 0
    while saved < step:
        assert time.monotonic() < deadline, f"no checkpoint of step {step} after {seconds} s, the last is of {saved}"
        assert is_alive(stage), (
            f"the training ended before a checkpoint of step {step} was seen, the last was of {saved}"
        )
        states = [torch.load(path, weights_only=True) for path in root.glob("work/checkpoints/students-*.pt")]
        saved = max((int(state["done"]) for state in states), default=0)


def wait_for_end(process: int, *, seconds: float) -> None:
    """Return once the process runs no longer."""
    deadline = time.monotonic() + seconds
    while is_alive(process):
        assert time.monotonic() < deadline, f"process {process} still runs after {seconds} s"
        time.sleep(0.1)


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
