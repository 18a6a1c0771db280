"""The patchcore stage on drawn images, from files to one result."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.images.aspect import write_aspect
from stages.core.io.result import BANK, MethodResult, read_result
from stages.core.io.tables import image_files, read_images, write_images
from stages.core.neighbours.memory import read_bank
from stages.patchcore.__main__ import main
from tests.params_files import write_params

INPUTS = Path("inputs")
PATCHCORE = {"strides": [8, 16], "coreset_ratio": 0.1, "projection_dimensions": 16, "neighbours": 9}
PARAMS: dict[str, Any] = {
    "profile": "embedded",
    "seed": 0,
    "profiles": {
        "embedded": {
            "encoder": {"name": "tf_efficientnet_lite0", "image_size": 64},
            "patchcore": PATCHCORE,
        }
    },
}


@pytest.fixture(autouse=True)
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Striped grey images; test/bad has a red square."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, PARAMS)
    image_files(INPUTS).mkdir(parents=True)
    noise = np.random.default_rng(0)
    rows = [(f"train/{n}", "train") for n in range(8)]
    rows += [("validation/0", "validation"), ("validation/x", "validation_anomalous"), ("test/good", "test")]
    rows += [("test/bad", "test")]
    for image_id, _ in rows:
        image = np.full((64, 64, 3), 90) + 60 * (np.arange(64) % 16 < 8)[:, None] + noise.integers(0, 9, (64, 64, 3))
        if image_id == "test/bad":
            image[40:56, 8:24] = (200, 0, 0)
        Image.fromarray(image.astype(np.uint8)).save(image_files(INPUTS) / f"{image_id.replace('/', '_')}.png")
    files = [(image_id, f"{image_id.replace('/', '_')}.png", split) for image_id, split in rows]
    write_images(INPUTS, pd.DataFrame(files, columns=["image_id", "file", "split"]))


def run(scores: str) -> MethodResult:
    main(["--inputs", "inputs", "--scores", scores])
    return read_result(Path(scores))


def test_a_synthetic_defect_scores_highest_and_shows_in_its_place() -> None:
    result = run("out")
    scores = result.scores.set_index("image_id")["score"]
    assert scores.index.to_list() == ["test/bad", "test/good", "validation/0", "validation/x"]
    assert scores.idxmax() == "test/bad"
    assert scores["test/bad"] > 1.5 * scores["test/good"]
    assert result.maps is not None
    assert result.maps.image_ids == tuple(scores.index)
    assert result.maps.values.shape == (4, 8, 8)
    row, column = np.unravel_index(result.maps.values[0].argmax(), (8, 8))
    assert 4 <= row <= 7
    assert 0 <= column <= 3


def test_oblong_pictures_keep_their_aspect_ratio() -> None:
    write_aspect(INPUTS, 4.0)
    result = run("out")
    assert result.maps is not None
    assert result.maps.values.shape == (4, 4, 16)  # cells of 8 pixels of 32 x 128
    assert read_bank(Path("out", BANK)).image_size == (32, 128)
    row, column = np.unravel_index(result.maps.values[0].argmax(), (4, 16))
    assert 2 <= row <= 3
    assert 1 <= column <= 6
    assert result.scores.set_index("image_id")["score"].idxmax() == "test/bad"


def test_scores_do_not_depend_on_other_images_and_repeat_bit_by_bit() -> None:
    first, again = run("a").scores, run("b").scores
    assert first.equals(again)
    images = read_images(INPUTS)
    write_images(INPUTS, images[(images["split"] == "train") | (images["image_id"] == "test/bad")])
    alone = run("c").scores
    assert alone["score"].to_list() == first.loc[first["image_id"] == "test/bad", "score"].to_list()


def test_no_training_image_is_a_user_error(caplog: pytest.LogCaptureFixture) -> None:
    images = read_images(INPUTS)
    write_images(INPUTS, images[images["split"] != "train"])
    with pytest.raises(SystemExit, match="1"):
        run("out")
    assert "no training image" in caplog.text
    assert not Path("out").exists()


def test_training_images_are_scored_in_turns_by_banks_without_them() -> None:
    """With a bank of all patches an image that is in it has distance 0: none of the rotated scores may be."""
    plain = run("plain")
    profile = PARAMS["profiles"]["embedded"] | {"patchcore": {**PATCHCORE, "coreset_ratio": 1.0}}
    write_params(Path(), {**PARAMS, "profiles": {"embedded": profile}})
    images = read_images(INPUTS)
    folds = dict(zip([f"train/{n}" for n in range(8)], [1, 1, 2, 2, 3, 3, 4, -1], strict=True)) | {"validation/0": 0}
    write_images(INPUTS, images.assign(fold=images["image_id"].map(folds).fillna(-1).astype(int)))
    result = run("rotated")
    assert result.maps is not None
    assert result.maps.image_ids == tuple(plain.scores["image_id"])  # none of rotated images
    rotated = result.scores[result.scores["split"] == "rotated"].set_index("image_id")["score"]
    assert rotated.index.to_list() == [f"train/{n}" for n in range(7)]  # never train/7
    assert (rotated > 1).all()
    held_out = ["train/0", "train/1"]
    turned = images[images["split"].isin(["train", "validation"])].copy()
    turned["split"] = np.where(turned["image_id"].isin(held_out), "test", "train")
    write_images(INPUTS, turned)
    by_hand = run("by_hand").scores.set_index("image_id")["score"]
    assert np.allclose(rotated[held_out], by_hand)


def test_without_folds_the_result_has_no_rotated_row_and_the_bank_is_the_same_with_them() -> None:
    run("before")
    images = read_images(INPUTS)
    write_images(INPUTS, images.assign(fold=np.where(images["split"] == "train", 1, -1)))
    run("after")
    before, after = (read_result(Path(name)).scores for name in ("before", "after"))
    assert set(before["split"]) == {"validation", "validation_anomalous", "test"}
    assert after[after["split"] != "rotated"].reset_index(drop=True).equals(before)
    assert Path("before/bank.safetensors").read_bytes() == Path("after/bank.safetensors").read_bytes()
