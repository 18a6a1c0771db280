"""Medical data sets through the real DAG, and the command that runs methods on a folder of them."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.end_to_end.workspace import Workspace, copy_repository
from tests.medical_layouts import ANOMALOUS, NORMAL, TRAIN, WRITERS


def read(root: Path, name: str) -> Any:
    return json.loads((root / name).read_text(encoding="utf-8"))


@pytest.mark.timeout(300)
def test_masked_slices_reach_the_split(tmp_path: Path) -> None:
    space = copy_repository(tmp_path)
    WRITERS["brats"](space.root / "data/brats")
    entry = {"source": "brats", "path": "data/brats", "equal_files": "exclude"}
    space.set_params({"profile": "smoke", "categories": {"brats2021": entry}})
    space.dvc("repro", "split@brats2021")
    counts = read(space.root, "metrics/split/brats2021.json")
    assert counts["train"]["normal"] + counts["validation"]["normal"] == TRAIN
    assert counts["test"] == {"normal": NORMAL, "unspecified": ANOMALOUS}
    assert counts["with_mask"] == ANOMALOUS
    images = pd.read_parquet(space.root / "artifacts/split/brats2021/inputs/images.parquet")
    assert images["image_id"][images["split"] == "train"].str.startswith("train/").all()
    assert space.stages_run("split@brats2021") == set()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the repository next to a folder with two data sets."""
    root = tmp_path_factory.mktemp("medical")
    WRITERS["br35h"](root / "sets/Br35H")
    WRITERS["oct2017"](root / "sets/OCT2017")
    (root / "repository").mkdir()
    return copy_repository(root / "repository")


def run_command(space: Workspace) -> str:
    options = ["--folder", "../sets", "--profile", "smoke", "--datasets", "br35h", "oct2017"]
    return space.run("benchmarks.recipes.medical", *options, "--methods", "patchcore")


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_one_command_from_folders_to_the_table(space: Workspace) -> None:
    output = run_command(space)
    clone = space.root / "work/medical/repository"
    for name in ("br35h", "oct2017"):
        metrics = read(clone, f"metrics/evaluation/{name}.json")["patchcore"]
        assert metrics["images"]["normal"] == NORMAL
        assert metrics["image_auroc"]["all"] > 0.8  # a bright square on a smooth blob
        assert re.search(rf"^ *{name} +patchcore ", output, flags=re.MULTILINE)
    assert f"br35h: {TRAIN} images of train (with validation), published are 1000" in " ".join(output.split())
    assert {path.name for path in (clone / "metrics").iterdir()} >= {"evaluation", "split"}
    assert not (clone / "artifacts/aecsad").exists()


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_second_run_runs_nothing(space: Workspace) -> None:
    assert "Running stage" not in run_command(space)
