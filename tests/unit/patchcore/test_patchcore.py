"""The nearest-neighbour baseline: coreset and scores by hand, and a run on drawn images."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stages.core.io.maps import read_anomaly_maps
from stages.core.io.result import read_scores
from stages.core.io.tables import write_images
from stages.core.neighbours.bank import draw_cells, image_score, join_stages, patch_distances, squared_distances
from stages.core.neighbours.coreset import choose_coreset, greedy_k_centre
from stages.patchcore.__main__ import main
from tests.params_files import write_params

PARAMS = {
    "profile": "embedded",
    "seed": 0,
    "profiles": {
        "embedded": {
            "encoder": {"name": "tf_efficientnet_lite0", "image_size": 64},
            "patchcore": {"strides": [8, 16], "coreset_ratio": 0.1, "projection_dimensions": 16, "neighbours": 9},
        }
    },
}


def test_k_centre_on_a_line() -> None:
    """From 0: the farthest is 10; then 4 (4 from 0, 6 from 10: nearest 4) beats 6 (4 too, later) and 1."""
    points = torch.tensor([[0.0], [1.0], [4.0], [10.0], [0.5]])
    assert greedy_k_centre(points, count=4, first=0).tolist() == [0, 3, 2, 1]


@pytest.mark.parametrize("part", [1, 7, 64, 10_000])
def test_k_centre_equals_the_plain_algorithm(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr("stages.core.neighbours.coreset.ACTIVE_PART", part)
    points = torch.randn(600, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    chosen = [17]
    while len(chosen) < 80:
        chosen.append(int(torch.cdist(points, points[chosen]).amin(dim=1).argmax()))
    assert greedy_k_centre(points, count=80, first=17).tolist() == chosen


def test_every_row_can_be_chosen_once_even_among_duplicates() -> None:
    points = torch.ones(9, 3)
    assert sorted(greedy_k_centre(points, count=9, first=4).tolist()) == list(range(9))
    with pytest.raises(ValueError, match="10 of 9 points cannot be chosen"):
        greedy_k_centre(points, count=10, first=0)


def test_coreset_size_seed_and_empty_input() -> None:
    patches = torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
    draws = [
        choose_coreset(patches, ratio=0.05, dimensions=4, generator=torch.Generator().manual_seed(seed)).tolist()
        for seed in (3, 3, 4)
    ]
    assert len(set(draws[0])) == 25
    assert draws[0] == draws[1] != draws[2]
    assert len(choose_coreset(patches, ratio=1e-6, dimensions=99, generator=torch.Generator())) == 1
    with pytest.raises(ValueError, match="no patches"):
        choose_coreset(patches[:0], ratio=0.1, dimensions=4, generator=torch.Generator())


def test_distances_and_score_by_hand() -> None:
    bank = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [100.0, 0.0]])
    patches = torch.tensor([[[0.0, 0.0], [0.0, -3.0]]])
    distances = patch_distances(patches, bank)
    torch.testing.assert_close(distances, torch.tensor([[0.0, 3.0]]))
    assert image_score(patches, distances, bank, neighbours=0) == pytest.approx(3.0)
    # p* = (0, -3), m* = (0, 0) at 3; its two nearest in the bank: itself and (0, 1), which is 4 from p*
    expected = (1 - math.exp(3) / (math.exp(3) + math.exp(4))) * 3
    assert image_score(patches, distances, bank, neighbours=2) == pytest.approx(expected, rel=1e-6)


def test_reweighting_takes_all_of_a_small_bank_and_refuses_one_patch() -> None:
    bank, patches = torch.tensor([[0.0], [1.0]]), torch.tensor([[[3.0]]])
    distances = patch_distances(patches, bank)
    expected = (1 - math.exp(2) / (math.exp(2) + math.exp(3))) * 2
    assert image_score(patches, distances, bank, neighbours=9) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="9 neighbours in a bank of 1 patches"):
        image_score(patches, distances, bank[:1], neighbours=9)


def test_squared_distances_never_go_below_zero() -> None:
    rows = torch.randn(50, 30, generator=torch.Generator().manual_seed(0)) * 1000
    assert float(squared_distances(rows, rows).min()) >= 0


def test_stages_are_averaged_enlarged_and_joined() -> None:
    fine, coarse = torch.zeros(1, 2, 4, 4), torch.full((1, 3, 2, 2), 9.0)
    fine[0, 0, 1, 1] = 9.0
    joined = join_stages([fine, coarse])
    assert joined.shape == (1, 5, 4, 4)
    torch.testing.assert_close(joined[0, 0, :3, :3], torch.ones(3, 3))  # 9 spread over 3x3 cells
    assert float(joined[0, 0, 3].abs().max()) == 0
    assert float(joined[0, 2, 0, 0]) == pytest.approx(4.0)  # 4 of 9 cells at a corner, the rest zero padding


@pytest.mark.parametrize(("count", "kept"), [(None, 9), (20, 9), (4, 4)])
def test_a_draw_of_patches_takes_each_once(count: int | None, kept: int) -> None:
    patches = torch.arange(9.0)[:, None]
    drawn = draw_cells(patches, count, torch.Generator().manual_seed(0))
    assert len(drawn) == len(set(drawn.flatten().tolist())) == kept


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Striped grey images; test/bad has a red square."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, PARAMS)
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0)
    rows = [(f"train/{n}", "train") for n in range(8)]
    rows += [("validation/0", "validation"), ("validation/x", "validation_anomalous"), ("test/good", "test")]
    rows += [("test/bad", "test")]
    for image_id, _ in rows:
        image = np.full((64, 64, 3), 90) + 60 * (np.arange(64) % 16 < 8)[:, None] + noise.integers(0, 9, (64, 64, 3))
        if image_id == "test/bad":
            image[40:56, 8:24] = (200, 0, 0)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / "images" / f"{image_id.replace('/', '_')}.png")
    files = [(image_id, f"{image_id.replace('/', '_')}.png", split) for image_id, split in rows]
    write_images(tmp_path / "images.parquet", pd.DataFrame(files, columns=["image_id", "file", "split"]))
    return tmp_path


def run(scores: Path) -> pd.DataFrame:
    main(["--images", "images.parquet", "--image-files", "images", "--scores", str(scores)])
    return read_scores(scores / "scores.parquet").set_index("image_id")


def test_a_synthetic_defect_scores_highest_and_is_where_it_was_synthetic(drawn: Path) -> None:
    scores = run(drawn / "out")
    assert scores.index.to_list() == ["test/bad", "test/good", "validation/0", "validation/x"]
    assert scores["score"].idxmax() == "test/bad"
    assert scores["score"]["test/bad"] > 1.5 * scores["score"]["test/good"]
    maps = read_anomaly_maps(drawn / "out" / "maps")
    assert maps.image_ids == tuple(scores.index)
    assert maps.values.shape == (4, 8, 8)
    row, column = np.unravel_index(maps.values[0].argmax(), (8, 8))
    assert 4 <= row <= 7
    assert 0 <= column <= 3


def test_scores_do_not_depend_on_the_other_images_and_repeat_bit_by_bit(drawn: Path) -> None:
    first, again = run(drawn / "a"), run(drawn / "b")
    assert first.equals(again)
    images = pd.read_parquet("images.parquet")
    write_images(Path("images.parquet"), images[(images["split"] == "train") | (images["image_id"] == "test/bad")])
    alone = run(drawn / "c")
    assert alone["score"].to_list() == [first["score"]["test/bad"]]


def test_no_training_image_is_a_user_error(drawn: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = pd.read_parquet("images.parquet")
    write_images(Path("images.parquet"), images[images["split"] != "train"])
    with pytest.raises(SystemExit, match="1"):
        run(drawn / "out")
    assert "no training image" in caplog.text
    assert not (drawn / "out").exists()
