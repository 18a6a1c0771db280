"""Uninformed Students in the real DAG: off by default, on by one edit, judged and reported like every other method."""

import json
from typing import Any

import pandas as pd
import pytest

from stages.core.io.result import read_result
from tests.end_to_end.toy_parts import write_toy_part
from tests.end_to_end.workspace import Workspace, copy_repository

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]
CATEGORIES = {"plate": {"source": "folder", "path": "data/plate", "ratios": [40, 30, 30]}}
TARGET = "evaluation@plate"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    space = copy_repository(tmp_path_factory.mktemp("students"))
    write_toy_part(space.root / "data/plate", period=16, seed=16, unmasked=5)
    space.set_params({"profile": "smoke", "categories": CATEGORIES})
    off = space.dvc("stage", "list", "--name-only").split()
    assert "patchcore@plate" in off
    assert not [name for name in off if "uninformed" in name]
    space.set_params({f"methods.{name}.categories": {} for name in ("oddpart", "aecsad", "patchcore")})
    space.set_params({"methods.uninformed_students.categories": {"plate": {}}})
    space.dvc("repro", TARGET)
    return space


def read(space: Workspace, name: str) -> Any:
    return json.loads((space.root / name).read_text(encoding="utf-8"))


def test_it_beats_chance_on_defects_that_show_in_the_pixels(space: Workspace) -> None:
    metrics = read(space, "metrics/evaluation/plate.json")["uninformed_students"]
    assert metrics["images"]["normal"] == 15
    assert metrics["image_auroc"]["all"] > 0.75
    assert metrics["pixel_auroc"]["all"] > 0.75
    assert set(metrics["branches"]) == {"error", "variance"}


def test_scores_of_all_splits_and_one_result_an_image(space: Workspace) -> None:
    images = pd.read_parquet(space.root / "artifacts/split/plate/inputs/images.parquet")
    scores = read_result(space.root / "artifacts/scores/plate/uninformed_students").scores
    assert set(scores["image_id"]) == set(images["image_id"][images["split"] != "train"])
    assert {"validation", "validation_anomalous", "synthetic", "test"} == set(scores["split"])
    results = sorted((space.root / "artifacts/evaluation/plate/uninformed_students/results").glob("*.json"))
    assert len(results) == (scores["split"] == "test").sum()
    one = json.loads(results[0].read_text(encoding="utf-8"))
    assert {"filename", "ground_truth", "prediction", "correct"} <= set(one)
    assert {"is_anomalous", "anomaly_score", "heatmap_path"} <= set(one["prediction"])


def test_a_second_run_runs_nothing_and_a_setting_of_another_room_neither(space: Workspace) -> None:
    assert space.stages_run(TARGET) == set()
    space.set_params({"profiles.smoke.patchcore.neighbours": 4})
    assert space.stages_run(TARGET) == set()
    space.set_params({"profiles.smoke.uninformed_students.pooled_cells": 1})
    assert space.stages_run(TARGET) == {"uninformed_students@plate", TARGET}
