"""AeCSAD+ trusts a branch as far as it sees anomalies made from normal images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stages.aecsad.hybrid_fusion.__main__ import main
from stages.aecsad.hybrid_fusion.branches import Trust, join_branches, trust_branches
from stages.aecsad.hybrid_fusion.fusing import counting_maps, fuse_maps
from stages.aecsad.hybrid_fusion.neighbours import draw_training_images, score_finely
from stages.aecsad.hybrid_fusion.params import FineNeighboursParams
from stages.aecsad.model.fusion import evidence
from stages.aecsad.model.label_maps import LabelMaps, write_label_maps
from stages.core.io.explanations import Explanation, read_explanations, write_explanations
from stages.core.io.maps import AnomalyMaps, read_anomaly_maps, write_anomaly_maps
from stages.core.io.result import read_scores, write_scores
from stages.core.io.tables import write_images, write_table
from stages.core.run.errors import UserError
from tests.params_files import write_params

HISTOGRAM: dict[str, Any] = {
    "weights": {"histogram_1x1": 0.9, "histogram_2x2": 0.0},
    "columns": {"histogram_1x1": {"edit_auroc": 0.95}, "histogram_2x2": {"edit_auroc": 0.55}},
}
NO_HISTOGRAM: dict[str, Any] = {
    "weights": {"histogram_1x1": 0.0, "histogram_2x2": 0.0},
    "columns": {"histogram_1x1": {"edit_auroc": 0.5}, "histogram_2x2": {"edit_auroc": 0.5}},
}


def make_scores(images: int = 60, *, seen: float = 3.0) -> pd.DataFrame:
    """Validation images, their synthetic copies and test images, of which every second is anomalous."""
    random = np.random.default_rng(0)
    split = ["validation"] * images + ["synthetic"] * images + ["test"] * images
    anomalous = np.array([0] * images + [1] * images + [0, 1] * (images // 2))
    table = pd.DataFrame({"image_id": [f"{number:03}" for number in range(len(split))], "split": split})
    for name, strength in (("student_teacher", seen), ("neighbours", 1.5), ("noise", 0.0)):
        table[name] = random.normal(size=len(split)) + strength * anomalous
    return table.assign(histogram_1x1=random.normal(size=len(split)), histogram_2x2=0.0)


def test_every_branch_is_judged_by_its_own_evidence() -> None:
    trusts = trust_branches(make_scores(), HISTOGRAM, chance=0.01)
    assert trusts["histogram"].weight == pytest.approx(0.9)  # its edits, not the defects that it cannot see
    assert trusts["student_teacher"].weight > trusts["neighbours"].weight > 0.3
    assert trust_branches(make_scores(), NO_HISTOGRAM, chance=0.01)["histogram"].weight == 0


def test_tables_of_different_images_are_refused() -> None:
    scores = make_scores()
    with pytest.raises(UserError, match="180 images have a score of the branch b, 179 one of every branch"):
        join_branches({"a": scores[["image_id", "split"]].iloc[1:], "b": scores})


def test_maps_are_scaled_by_normal_cells_and_resized_before_they_are_added() -> None:
    scores = pd.DataFrame({"image_id": ["a", "b"], "split": ["validation", "test"]})
    fine = np.array([[[0.0, 2.0], [0.0, 2.0]], [[4.0, 0.0], [0.0, 0.0]]], dtype=np.float16)  # mean 1, spread 1
    coarse = np.array([[[5.0]], [[8.0]]], dtype=np.float16)  # spread 0 on normal cells: taken as 1e-6
    trusts = {"fine": Trust(0.75, 1, None, ""), "coarse": Trust(0.0, 0.5, None, "")}
    maps = {"fine": AnomalyMaps(("a", "b"), fine), "coarse": AnomalyMaps(("b", "a"), coarse[::-1])}
    heard = counting_maps(scores, maps, trusts)
    assert list(heard) == ["fine"]  # the other branch has no say
    np.testing.assert_array_equal(fuse_maps(scores, heard, trusts), fine - 1)
    both = {"fine": Trust(0.75, 1, None, ""), "coarse": Trust(0.25, 1, None, "")}
    np.testing.assert_allclose(
        fuse_maps(scores.assign(split="validation"), counting_maps(scores, maps, both), both)[1],
        0.75 * (fine[1] - fine.mean()) / fine.std() + 0.25,
        atol=2e-3,
    )


FOUND = Explanation("student_teacher", 1, "hot_spot", (0, 0, 1, 1), 2.0, 1.0, 3.0, "AeCSAD's own")
FINE: dict[str, Any] = {
    "image_size": 64, "strides": [8, 16], "training_images": 4, "cells_per_image": 48, "coreset_ratio": 0.2,
    "projection_dimensions": 128, "neighbours": 3,
}  # fmt: skip


def write_pictures(root: Path, scores: pd.DataFrame) -> pd.DataFrame:
    """Grey noise for every image and six to train on; synthetic ones have a black corner. Returns the image table."""
    random, rows = np.random.default_rng(0), [(f"t{number}", "train") for number in range(6)]
    rows += list(zip(scores["image_id"], scores["split"], strict=True))
    images = pd.DataFrame(rows, columns=["image_id", "split"])
    images.insert(1, "file", images["image_id"] + ".png")
    (root / "images").mkdir()
    for file, split in zip(images["file"], images["split"], strict=True):
        picture = random.integers(100, 140, (32, 32, 3)).astype(np.uint8)
        if split == "synthetic":
            picture[:8, :8] = 0
        Image.fromarray(picture).save(root / "images" / file)
    write_images(root / "images.parquet", images)
    return images


def write_inputs(
    root: Path,
    scores: pd.DataFrame,
    histogram: dict[str, Any],
    *,
    fine: dict[str, Any] | None = None,
    combination: str = "fisher",
) -> list[str]:
    """The files of the other stages, and the command line."""
    keys, ids = ["image_id", "split"], list(scores["image_id"])
    write_table(root / "histogram.parquet", scores[[*keys, "histogram_1x1", "histogram_2x2"]], columns=keys)
    write_table(root / "students.parquet", scores[[*keys, "student_teacher"]], columns=keys)
    neighbours = root / "neighbours"
    neighbours.mkdir()
    write_scores(neighbours / "scores.parquet", scores[keys].assign(score=scores["neighbours"]))
    for folder in (root / "maps", neighbours / "maps"):
        write_anomaly_maps(folder, ids, np.random.default_rng(0).random((len(ids), 4, 4)).astype(np.float16))
    write_explanations(root / "explanations", dict.fromkeys(ids, [FOUND]), {1: b"picture"})
    (root / "choice.json").write_text(json.dumps(histogram), encoding="utf-8")
    section = {"chance": 0.01, "combination": combination, "fine_neighbours": fine}
    profile = {"encoder": {"name": "tf_efficientnet_lite0", "image_size": 32}, "aecsad": {"plus": section}}
    write_params(root, {"profile": "smoke", "seed": 0, "profiles": {"smoke": profile}})
    every = tuple(write_pictures(root, scores)["image_id"])
    labels = LabelMaps(every, np.ones((len(every), 8, 8), dtype=np.uint8), 2, np.ones(len(every), dtype=bool))
    write_label_maps(root / "labels.npz", labels)
    files = {
        "images": "images.parquet", "image-files": "images",
        "histogram": "histogram.parquet", "histogram-choice": "choice.json", "student-teacher": "students.parquet",
        "student-teacher-maps": "maps", "neighbours": "neighbours", "explanations": "explanations",
        "label-maps": "labels.npz",
        "scores": "out", "branches": "branches.parquet", "fusion": "fusion.json",
        "choice": "plus.json",
    }  # fmt: skip
    return [word for name, file in files.items() for word in (f"--{name}", file)]


@pytest.mark.parametrize("combination", ["fisher", "sum"])
def test_the_stage_writes_scores_maps_and_its_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, combination: str
) -> None:
    monkeypatch.chdir(tmp_path)
    main(write_inputs(tmp_path, make_scores(), NO_HISTOGRAM, combination=combination))
    scores = read_scores(tmp_path / "out" / "scores.parquet")
    choice = json.loads((tmp_path / "plus.json").read_text(encoding="utf-8"))
    assert [name for name in scores.columns if name not in ("image_id", "split", "score")] == [
        "student_teacher", "neighbours",
    ]  # fmt: skip
    term = evidence if combination == "fisher" else np.asarray
    expected = sum(choice[name]["weight"] * term(scores[name].to_numpy()) for name in ("student_teacher", "neighbours"))
    np.testing.assert_allclose(scores["score"], expected, atol=1e-3)
    assert json.loads((tmp_path / "fusion.json").read_text(encoding="utf-8"))["combination"] == combination
    assert choice["histogram"]["weight"] == 0
    explained = read_explanations(tmp_path / "out" / "explanations")
    assert {tuple(one.branch for one in found) for found in explained.images.values()} == {
        ("student_teacher", "neighbours"),
    }  # fmt: skip
    assert explained.pictures[1].read_bytes() == b"picture"
    assert read_anomaly_maps(tmp_path / "out" / "maps").image_ids == tuple(scores["image_id"])


def test_with_too_few_images_to_judge_all_branches_count() -> None:
    trusts = trust_branches(make_scores(4, seen=0.0).drop(columns="noise"), NO_HISTOGRAM, chance=0.01)
    assert {name: trust.weight for name, trust in trusts.items()} == {
        "histogram": 0, "student_teacher": 1, "neighbours": 1,
    }  # fmt: skip
    assert "none is better than chance" in trusts["neighbours"].reason


def test_where_every_branch_is_constant_the_stage_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    scores = make_scores().assign(student_teacher=0.0, neighbours=1.0)
    with pytest.raises(SystemExit):
        main(write_inputs(tmp_path, scores, NO_HISTOGRAM))
    assert "every branch gives all images the same score" in caplog.text
    assert not (tmp_path / "out").exists()


def test_the_fine_branch_sees_small_defects_and_is_fused_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(write_inputs(tmp_path, make_scores(12), NO_HISTOGRAM, fine=FINE))
    scores = read_scores(tmp_path / "out" / "scores.parquet").set_index("image_id")
    choice = json.loads((tmp_path / "plus.json").read_text(encoding="utf-8"))
    assert choice["fine_neighbours"]["synthetic_auroc"] == 1.0
    assert choice["fine_neighbours"]["weight"] == 1.0
    synthetic, normal = (
        scores.loc[scores["split"] == split, "fine_neighbours"] for split in ("synthetic", "validation")
    )
    assert synthetic.min() > normal.max()
    used = [name for name in choice if choice[name]["weight"] > 0]
    expected = sum(choice[name]["weight"] * evidence(scores[name].to_numpy()) for name in used)
    np.testing.assert_allclose(scores["score"], expected, rtol=1e-3)
    maps = read_anomaly_maps(tmp_path / "out" / "maps")
    assert maps.values.shape[1:] == (8, 8)  # 64 px at stride 8, the finest of the branches
    corner = maps.values[(scores["split"] == "synthetic").to_numpy()].astype(np.float64).mean(axis=0)
    assert corner.argmax() in (0, 1, 8, 9)


def test_fine_scores_repeat_and_do_not_depend_on_the_other_images(tmp_path: Path) -> None:
    params = FineNeighboursParams(**FINE)
    images = write_pictures(tmp_path, make_scores(4))
    encoder = "tf_efficientnet_lite0"
    first = score_finely(images, tmp_path / "images", params, encoder=encoder, seed=0)
    alone = images[(images["split"] == "train") | (images["image_id"] == "005")]
    again = score_finely(alone, tmp_path / "images", params, encoder=encoder, seed=0)
    assert first is not None
    assert again is not None
    row = first.scores["image_id"].to_list().index("005")
    assert again.scores["score"].to_list() == [first.scores["score"].iloc[row]]
    assert score_finely(images, tmp_path / "images", None, encoder="no such network", seed=0) is None


@pytest.mark.parametrize(("count", "expected"), [(4, 4), (99, 6)])
def test_training_images_are_drawn_once_each_and_from_no_other_split(count: int, expected: int) -> None:
    images = pd.DataFrame({"image_id": list("abcdefgh"), "split": ["train"] * 3 + ["test"] * 2 + ["train"] * 3})
    drawn = draw_training_images(images, count=count, generator=torch.Generator().manual_seed(0))
    assert len(drawn) == drawn["image_id"].nunique() == expected
    assert set(drawn["split"]) == {"train"}
    assert drawn["image_id"].is_monotonic_increasing
