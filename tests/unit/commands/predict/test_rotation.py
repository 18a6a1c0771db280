"""Rotating validation through all stages of the default methods, and `oddpart predict` on what they leave."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from commands.predict.parts import trained_files
from stages.core.encoder.device import pick_device
from stages.core.io.calibration import read_calibration
from stages.core.io.result import read_result
from stages.core.io.tables import image_files
from stages.core.runtime.reading import read_like_training
from stages.export.parts import load_parts
from stages.export.parts import predict as score_picture
from tests.unit.commands.predict.case import INPUTS, train, train_parts

pytestmark = pytest.mark.slow  # three products through seven stages

FOLDS = 2
METHODS = ("oddpart", "aecsad", "patchcore")
TABLES = (  # branch scores before any fusion
    "aecsad/histogram/part/scores.parquet", "aecsad/student_teacher/part/scores.parquet",
    "scores/part/patchcore/scores.parquet", "scores/part/oddpart/branches.parquet",
)  # fmt: skip
MODELS = (
    "aecsad/segmentation/part/model.safetensors", "aecsad/segmentation/part/label_maps.npz",
    "aecsad/histogram/part/model.npz", "aecsad/student_teacher/part/model.safetensors",
    "scores/part/patchcore/bank.safetensors", "scores/part/oddpart/bank.safetensors",
)  # fmt: skip
CHANGED = "train/00"  # of fold 1: in a third run its file shows noise


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Artefacts of the product without folds, with folds, and with folds and another picture in CHANGED's place."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("plain", "rotated", "changed")}
    with pytest.MonkeyPatch.context() as patch:
        for name, folds in (("plain", 0), ("rotated", FOLDS)):
            patch.chdir(roots[name])
            train_parts(roots[name], folds=folds)
        shutil.copytree(roots["rotated"], roots["changed"], dirs_exist_ok=True)
        patch.chdir(roots["changed"])
        noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(noise).save(image_files(INPUTS) / "00.png")
        train()
        patch.chdir(roots["rotated"])
        yield {name: root / "artifacts" for name, root in roots.items()}


def table_of(artefacts: Path, name: str, *, rotated: bool) -> pd.DataFrame:
    """One of TABLES: the rows that are rotated, or those that are neither rotated nor of training images."""
    table = pd.read_parquet(artefacts / name)
    chosen = table["split"] == "rotated" if rotated else ~table["split"].isin(["rotated", "train"])
    return table[chosen].set_index("image_id").drop(columns="split").sort_index()


def test_models_and_scores_of_other_images_are_those_without_rotation(runs: dict[str, Path]) -> None:
    for name in MODELS:
        assert (runs["rotated"] / name).read_bytes() == (runs["plain"] / name).read_bytes(), name
    for name in TABLES:
        pd.testing.assert_frame_equal(
            table_of(runs["rotated"], name, rotated=False), table_of(runs["plain"], name, rotated=False)
        )


def test_every_branch_scores_each_training_image_once(runs: dict[str, Path]) -> None:
    expected = [f"train/{number:02d}" for number in range(12)]
    for name in TABLES:
        assert table_of(runs["rotated"], name, rotated=True).index.to_list() == expected
        assert table_of(runs["plain"], name, rotated=True).empty
    for method in METHODS:
        result = read_result(runs["rotated"] / "scores/part" / method)
        assert (result.scores["split"] == "rotated").sum() == 12
        assert result.maps is not None
        assert not any(image_id.startswith("train") for image_id in result.maps.image_ids)


def test_what_scores_a_fold_has_not_seen_any_image_of_it(runs: dict[str, Path]) -> None:
    """Another picture in the place of one image of fold 1 changes that image's score and what fold 2 is scored by.

    The others of fold 1 keep their scores to the last bit, in every branch.
    """
    for name in TABLES:
        before, after = (table_of(runs[run], name, rotated=True) for run in ("rotated", "changed"))
        same = (before == after).all(axis=1)
        own = [image_id for image_id in before.index if int(image_id[-2:]) % FOLDS == 0 and image_id != CHANGED]
        other = [image_id for image_id in before.index if int(image_id[-2:]) % FOLDS]
        assert same[own].all(), name
        assert not same[other].any(), name
        assert not same[CHANGED], name


@pytest.mark.parametrize("method", METHODS)
def test_the_threshold_is_of_all_that_was_held_out_and_predict_scores_alike(runs: dict[str, Path], method: str) -> None:
    assert Path(os.path.realpath("artifacts")) == Path(os.path.realpath(runs["rotated"]))
    calibration = read_calibration(runs["rotated"] / "evaluation/part" / method / "calibration.json")
    threshold = calibration.threshold
    assert (threshold.normals, threshold.rotated) == (20, 12)
    assert threshold.attainable_false_alarm_rate == pytest.approx(4 / 21)  # budget 0.2: rank 17 of 20
    assert calibration.sureness is not None
    scores = read_result(runs["rotated"] / "scores/part" / method).scores
    held_out = scores["score"][scores["split"].isin(["validation", "rotated"])]
    assert list(calibration.sureness.normal) == sorted(held_out)
    assert threshold.value == sorted(held_out)[16]
    parts = load_parts(trained_files("part", method), device=pick_device())
    expected = scores[scores["split"].isin(["validation", "test"])].set_index("image_id")["score"]
    for image_id, score in expected.items():
        picture = read_like_training(image_files(INPUTS) / f"{str(image_id)[-2:]}.png", None)
        assert score_picture(parts, picture).score == score, image_id
