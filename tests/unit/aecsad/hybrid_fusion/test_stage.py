"""The hybrid_fusion stage from files to files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.aecsad.hybrid_fusion.__main__ import main
from stages.aecsad.hybrid_fusion.neighbours import score_at_high_resolution
from stages.aecsad.hybrid_fusion.params import FineNeighboursParams
from stages.aecsad.model.conformal import write_jackknife
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps
from stages.aecsad.model.part_numbers import part_model_arrays, write_findings
from stages.aecsad.model.patch_histogram import write_histogram_models
from stages.aecsad.model.scaling import evidence
from stages.core.io.explanations import Explanations, write_explanations
from stages.core.io.maps import AnomalyMaps, write_anomaly_maps
from stages.core.io.result import MethodResult, branch_names, read_result, write_result
from stages.core.io.tables import image_files, write_images, write_table
from stages.core.runtime.counting import NumberFinding
from stages.core.runtime.explanation import Explanation
from tests.params_files import write_params

OPTIONS = [
    "--inputs", "inputs", "--label-maps", "labels.npz", "--histogram", "histogram", "--histogram-choice",
    "histogram.json", "--student-teacher", "students", "--neighbours", "neighbours", "--explanations", "explanations",
    "--scores", "out", "--choice", "choice.json",
]  # fmt: skip
Scores = Callable[..., pd.DataFrame]
KEYS = ["image_id", "split"]
FOUND = Explanation("student_teacher", 1, "hot_spot", (0, 0, 1, 1), 2.0, 1.0, 3.0)
FINE: dict[str, Any] = {
    "image_size": 64, "strides": [8, 16], "training_images": 4, "cells_per_image": 48, "bank_patches": 40,
    "projection_dimensions": 128,
}  # fmt: skip


def write_pictures(scores: pd.DataFrame) -> pd.DataFrame:
    """Grey noise for every image and six to train on; synthetic ones have a black corner. Returns the image table."""
    random, rows = np.random.default_rng(0), [(f"t{number}", "train") for number in range(6)]
    rows += list(zip(scores["image_id"], scores["split"], strict=True))
    images = pd.DataFrame(rows, columns=KEYS)
    images.insert(1, "file", images["image_id"] + ".png")
    image_files(Path("inputs")).mkdir(parents=True)
    for file, split in zip(images["file"], images["split"], strict=True):
        picture = random.integers(100, 140, (32, 32, 3)).astype(np.uint8)
        if split == "synthetic":
            picture[:8, :8] = 0
        Image.fromarray(picture).save(image_files(Path("inputs")) / file)
    write_images(Path("inputs"), images)
    return images


def write_inputs(
    scores: pd.DataFrame,
    histogram: dict[str, Any],
    *,
    fine: dict[str, Any] | None = None,
    combination: str = "fisher",
) -> None:
    """The files of the other stages."""
    ids = tuple(scores["image_id"])
    maps = AnomalyMaps(ids, np.random.default_rng(0).random((len(ids), 4, 4)).astype(np.float16))
    write_table(Path("histogram/scores.parquet"), scores[[*KEYS, "histogram_1x1", "histogram_2x2"]], columns=KEYS)
    validation = scores["image_id"][scores["split"] == "validation"].to_list()
    weights = {name: [weight] * len(validation) for name, weight in histogram["weights"].items()}
    seen = {f"{name}_edit_auroc": [0.5] * len(validation) for name in weights}
    write_jackknife(Path("histogram"), validation, pd.DataFrame(weights | seen))
    write_table(Path("students/scores.parquet"), scores[[*KEYS, "student_teacher"]], columns=KEYS)
    write_anomaly_maps(Path("students/maps"), maps)
    write_result(Path("neighbours"), MethodResult(scores[KEYS].assign(score=scores["neighbours"]), maps))
    Path("neighbours/bank.safetensors").write_bytes(b"bank")
    write_explanations(Path("explanations"), Explanations(dict.fromkeys(ids, [FOUND]), {1: b"picture"}))
    Path("histogram.json").write_text(json.dumps(histogram), encoding="utf-8")
    section = {"chance": 0.01, "branch_weights": "reliability", "combination": combination, "fine_neighbours": fine}
    profile = {"encoder": {"name": "tf_efficientnet_lite0", "image_size": 32}, "aecsad": {"hybrid_fusion": section}}
    write_params(Path(), {"profile": "smoke", "seed": 0, "profiles": {"smoke": profile}})
    every = tuple(write_pictures(scores)["image_id"])
    labels = LabelMaps(every, np.ones((len(every), 8, 8), dtype=np.uint8), 2, np.ones(len(every), dtype=bool))
    write_label_maps(Path("labels.npz"), labels, made_from={"segmentation": "5e6"})
    numbers = {ids[0]: [NumberFinding(1, -1.1, 4.0)]}
    write_findings(Path("histogram"), numbers)
    write_histogram_models(
        Path("histogram/model.npz"), [], made_from={"segmentation": "5e6"}, **part_model_arrays(None)
    )
    Path("students/model.safetensors").write_bytes(b"students")


def read_choice() -> dict[str, Any]:
    return dict(json.loads(Path("choice.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("combination", ["fisher", "sum"])
def test_the_stage_writes_one_result_and_its_reasons(
    here: Path, make_scores: Scores, no_histogram: dict[str, Any], combination: str
) -> None:
    write_inputs(make_scores(), no_histogram, combination=combination)
    main(OPTIONS)
    result, choice = read_result(here / "out"), read_choice()
    branches = ["student_teacher", "neighbours"]
    assert branch_names(result.scores) == branches
    term = evidence if combination == "fisher" else np.asarray
    normal = result.scores[result.scores["split"] == "validation"]
    expected = sum(choice[name]["weight"] * term(normal[name].to_numpy()) for name in branches)
    np.testing.assert_allclose(normal["score"], expected, atol=1e-3)
    assert choice["histogram"]["weight"] == 0
    assert result.maps is not None and result.explanations is not None and result.fusion is not None
    assert result.fusion["combination"] == combination
    assert set(result.fusion["made_from"]) == {"segmentation", "histogram", "student_teacher", "neighbours"}
    explained = {tuple(one.branch for one in found) for found in result.explanations.images.values()}
    assert explained == {tuple(branches), ("student_teacher", "parts", "neighbours")}
    number = result.explanations.images["000"][1]
    assert (number.component, number.measure, number.observed, number.box) == (1, "number", -1.1, (0, 0, 1, 1))
    assert result.explanations.pictures == {1: b"picture"}
    assert result.maps.image_ids == tuple(result.scores["image_id"])
    assert set(result.maps.branches) == set(branches)
    unscaled = pd.read_parquet("out/branches.parquet")
    assert list(unscaled.columns) == [*KEYS, "histogram_1x1", "histogram_2x2", *branches]


def test_where_every_branch_is_constant_the_stage_says_so(
    here: Path, make_scores: Scores, no_histogram: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    write_inputs(make_scores().assign(student_teacher=0.0, neighbours=1.0), no_histogram)
    with pytest.raises(SystemExit):
        main(OPTIONS)
    assert "all images have the same score in every branch" in caplog.text
    assert not (here / "out").exists()


def test_the_fine_branch_sees_small_defects_and_is_fused_with_the_others(
    here: Path, make_scores: Scores, no_histogram: dict[str, Any]
) -> None:
    write_inputs(make_scores(12), no_histogram, fine=FINE)
    main(OPTIONS)
    result, choice = read_result(here / "out"), read_choice()
    scores = result.scores.set_index("image_id")
    assert choice["fine_neighbours"]["synthetic_auroc"] == 1.0
    assert choice["fine_neighbours"]["weight"] == 1.0
    synthetic, normal = (
        scores.loc[scores["split"] == split, "fine_neighbours"] for split in ("synthetic", "validation")
    )
    assert synthetic.min() > normal.max()
    used = [name for name in choice if choice[name]["weight"] > 0]
    own = scores[scores["split"] == "validation"]
    expected = sum(choice[name]["weight"] * evidence(own[name].to_numpy()) for name in used)
    np.testing.assert_allclose(own["score"], expected, rtol=1e-3)
    assert result.maps is not None
    assert result.maps.values.shape[1:] == (4, 4)  # 64 px at stride 16
    corner = result.maps.values[(scores["split"] == "synthetic").to_numpy()].astype(np.float64).mean(axis=0)
    assert corner.argmax() == 0


def test_fine_scores_repeat_and_do_not_depend_on_the_other_images(here: Path, make_scores: Scores) -> None:
    params = FineNeighboursParams(**FINE)
    images, inputs = write_pictures(make_scores(4)), Path("inputs")
    encoder = "tf_efficientnet_lite0"
    first = score_at_high_resolution(images, inputs, params, encoder=encoder, seed=0)
    alone = images[(images["split"] == "train") | (images["image_id"] == "009")]
    again = score_at_high_resolution(alone, inputs, params, encoder=encoder, seed=0)
    assert first is not None
    assert again is not None
    row = first.result.scores["image_id"].to_list().index("009")
    assert again.result.scores["score"].to_list() == [first.result.scores["score"].iloc[row]]
    assert score_at_high_resolution(images, inputs, None, encoder="no such network", seed=0) is None
