"""InCTRL and MadCLIP in the real DAG with a tiny random CLIP: off by default, on by one edit, and they learn."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stages.clip.inctrl.__main__ import main as inctrl
from stages.clip.madclip.__main__ import main as madclip
from stages.core.io.result import read_result
from tests.end_to_end.toy_parts import write_toy_part
from tests.end_to_end.workspace import Workspace, copy_repository

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]
CATEGORIES = {name: {"source": "folder", "path": f"data/{name}", "ratios": [40, 30, 30]} for name in ("plate", "panel")}
SWITCHED_ON = {
    "methods.inctrl.auxiliary": {"panel": {"object": "metal panel"}},
    "methods.inctrl.categories": {"plate": {"object": "steel plate"}},
    "methods.madclip.categories": {"plate": {"trained_on": "panel", "object": "steel plate"}},
}
TARGETS = ["evaluation@plate"]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two products; both methods are on for one of them, taught by the other."""
    space = copy_repository(tmp_path_factory.mktemp("clip"))
    for name, period in (("plate", 16), ("panel", 12)):
        write_toy_part(space.root / "data" / name, period=period, seed=period, unmasked=5)
    space.set_params({"profile": "smoke", "categories": CATEGORIES})
    assert clip_stages(space) == set()
    space.set_params({f"methods.{name}.categories": {} for name in ("oddpart", "aecsad", "patchcore")})
    space.set_params(SWITCHED_ON)
    space.dvc("repro", *TARGETS)
    return space


def clip_stages(space: Workspace) -> set[str]:
    """Names of the stages of both methods in the DAG."""
    names = space.dvc("stage", "list", "--name-only").split()
    assert "split@plate" in names
    return {name for name in names if "clip" in name or "inctrl" in name}


def read(space: Workspace, name: str) -> Any:
    return json.loads((space.root / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("method", ["inctrl", "madclip"])
def test_both_beat_chance_on_defects_that_show_in_the_pixels(space: Workspace, method: str) -> None:
    metrics = read(space, "metrics/evaluation/plate.json")[method]
    assert metrics["images"]["normal"] == 15
    assert metrics["image_auroc"]["all"] > 0.75
    assert metrics["pixel_auroc"]["all"] > 0.75


def test_draws_are_recorded_and_none_is_from_test(space: Workspace) -> None:
    images = pd.read_parquet(space.root / "artifacts/split/plate/inputs/images.parquet").set_index("image_id")["split"]
    prompts = read(space, "metrics/choices/plate/inctrl.json")["prompts"]
    assert {images[name] for draw in prompts.values() for name in draw} == {"train"}
    panel = pd.read_parquet(space.root / "artifacts/split/panel/inputs/images.parquet").set_index("image_id")["split"]
    (drawn,) = read(space, "metrics/choices/plate/madclip.json")["drawn"].values()
    assert {panel[name] for name in drawn["normal"]} == {"train"}
    assert {panel[name] for name in drawn["anomalous"]} == {"validation_anomalous"}


def test_a_second_run_runs_nothing_and_switching_off_leaves_no_stage(space: Workspace) -> None:
    assert space.stages_run(*TARGETS) == set()
    assert clip_stages(space) == {"inctrl_pool@panel", "inctrl@plate", "madclip_pool@plate", "madclip@plate"}
    space.set_params(dict.fromkeys(SWITCHED_ON, {}))
    try:
        assert clip_stages(space) == set()
    finally:
        space.set_params(SWITCHED_ON)


@pytest.mark.parametrize("seed", [1, 2])
def test_more_seeds(space: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int) -> None:
    """The stages' own entry points on the pipeline's artefacts; seed 0 ran in the pipeline."""
    monkeypatch.chdir(space.root)
    truth = pd.read_parquet("artifacts/split/plate/truth/truth.parquet").set_index("image_id")["is_anomalous"]
    space.set_params({"seed": seed})
    common = ["--inputs", "artifacts/split/plate/inputs"]
    common += ["--category", "plate", "--model", str(tmp_path / "model"), "--choice", str(tmp_path / "choice.json")]
    try:
        inctrl([*common, "--pools", "artifacts/inctrl/pool", "--scores", str(tmp_path / "inctrl")])
        madclip([*common, "--pool", "artifacts/madclip/pool/plate", "--scores", str(tmp_path / "madclip")])
    finally:
        space.set_params({"seed": 0})
    for method in ("inctrl", "madclip"):
        scores = read_result(tmp_path / method).scores
        test = scores[scores["split"] == "test"]
        assert roc_auc_score(truth[test["image_id"]], test["score"]) > 0.75, method
