"""InCTRL's stage on drawn images: its outputs, the cache, independence of the images, bad input."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.clip.inctrl.__main__ import main
from stages.clip.inctrl.network import InContextHeads
from stages.core.io.maps import read_anomaly_maps
from stages.core.io.result import branch_names, read_result
from stages.core.io.tables import read_images, write_images
from stages.core.io.weights import read_weights
from tests.unit.clip.case import make_deep, make_grey, write_clip_params, write_image, write_pool, write_target

OPTIONS = [
    "--inputs", "target", "--pools", "pools", "--category", "part",
    "--model", "model.safetensors", "--choice", "choice.json",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target `part` and one auxiliary pool, `other`."""
    monkeypatch.chdir(tmp_path)
    write_clip_params(tmp_path)
    write_target(tmp_path / "target")
    write_pool(tmp_path / "pools" / "other")
    return tmp_path


def run(name: str) -> pd.DataFrame:
    main([*OPTIONS, "--scores", name])
    return read_result(Path(name)).scores.set_index("image_id")


def test_the_stage_writes_scores_maps_model_and_prompts(place: Path) -> None:
    scores = run("out")
    expected = ["repetition_0", "repetition_1", "text", "image_residual", "patch_residual", "holistic"]
    assert branch_names(scores.reset_index()) == expected
    assert len(scores) == 9
    assert scores["score"].equals(scores["repetition_0"].rename("score"))
    bad = scores.index.str.startswith("test/bad")
    assert scores["patch_residual"][bad].min() > scores["patch_residual"][~bad].max()
    maps = read_anomaly_maps(place / "out" / "maps")
    assert maps.values.shape == (9, 3, 3)
    assert maps.values.dtype == np.float16
    row, column = np.unravel_index(maps.values[0].argmax(), (3, 3))  # of test/bad0, whose square ends in cell 1, 1
    assert max(row, column) <= 1
    choice = json.loads((place / "choice.json").read_text())
    assert choice["auxiliary"] == {"other": {"anomalous": 4, "normal": 6}}
    assert all(name.startswith("train/") for draw in choice["prompts"].values() for name in draw)
    state, arguments = read_weights(place / "model.safetensors")
    assert len(arguments["images"]) == 10
    InContextHeads(embed_dim=arguments["embed_dim"], patches=arguments["patches"]).load_state_dict(state, strict=True)


def test_a_second_run_reads_the_cache_and_returns_the_same(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        first = run("a")
        caplog.clear()
        second = run("b")
    assert "0 of the images' features were computed" in caplog.text
    assert first.equals(second)


def test_options_of_the_published_code_reach_the_training(place: Path) -> None:
    run("out")
    paired = read_weights(place / "model.safetensors")[0]
    for option in ({"batching": "published"}, {"double_sigmoid": False}, {"exclude_query": False}):
        write_clip_params(place, **{f"profiles__smoke__inctrl__{name}": value for name, value in option.items()})
        run("out")
        state = read_weights(place / "model.safetensors")[0]
        assert not torch.equal(state["diff_head.projection1.weight"], paired["diff_head.projection1.weight"]), option


def test_no_score_depends_on_the_other_images(place: Path) -> None:
    together = run("a")
    images = read_images(Path("target"))
    write_images(Path("target"), images[(images["split"] == "train") | (images["image_id"] == "test/bad1")])
    assert run("b")["score"].to_list() == [together["score"]["test/bad1"]]


def test_judged_content_is_excluded_from_the_training(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The pool's first image has the content, and so the name, of one of the target's test images."""
    pool = pd.read_parquet("pools/other/pool.parquet")
    images = read_images(Path("target"))
    twin = images.loc[images["image_id"] == "test/good0", "file"].iloc[0]
    (place / "pools/other/images" / pool["file"][0]).rename(place / "pools/other/images" / twin)
    pool.loc[0, "file"] = twin
    pool.to_parquet("pools/other/pool.parquet")
    run("out")
    assert "1 images of other are excluded, because they are judged in part" in caplog.text
    assert f"other/{twin}" not in read_weights(place / "model.safetensors")[1]["images"]


def test_16_bit_images_go_through_the_window_of_their_category(place: Path) -> None:
    target, other = place / "target/images", place / "pools/other/images"
    for folder in (target, other):
        make_grey(folder)
    expected = run("a")
    windows = make_deep(target, offset=1000), make_deep(other, offset=30_000)
    write_clip_params(
        place,
        methods__inctrl__categories__part__window=windows[0], methods__inctrl__auxiliary__other__window=windows[1],
    )  # fmt: skip
    assert run("b").equals(expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profiles__smoke__inctrl__shots": 7}, "7 prompts need 8 normal training images .*, other has 6: lower it"),
        ({"profiles__smoke__inctrl__blocks": [3, 1]}, r"blocks: \[3, 1\] must be increasing numbers from 1 to 4"),
        (
            {"methods__inctrl__auxiliary": {"part": {"object": "x"}}},
            r"methods\.inctrl\.auxiliary: no labelled anomaly to train on: name another category",
        ),
        ({"methods__inctrl__auxiliary": {"gone": {"object": "x"}}}, "gone/pool.parquet does not exist: correct"),
        (
            {"methods__inctrl__categories": {"part": {"object": "_"}}},
            r"methods\.inctrl\.categories\.part\.object: .*'_' has no letter or digit: name the object in words",
        ),
        ({"methods__inctrl__categories": {}}, r"the key 'methods\.inctrl\.categories\.part' is missing"),
        ({"methods__inctrl__categories": {"part": {"object": "very " * 76}}}, "give the object a shorter name"),
        (
            {"methods__inctrl__categories": {"part": {"object": "x", "window": {"level": 1, "width": 9}}}},
            r"\.png: a window is for 16-bit grey and DICOM images, this one is RGB: remove `window` from",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_message(
    place: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], message: str
) -> None:
    write_clip_params(place, **changes)
    with pytest.raises(SystemExit, match="1"):
        run("out")
    assert any(record.levelname == "ERROR" for record in caplog.records)
    assert pd.Series([caplog.text.replace("\n", " ")]).str.contains(message).all(), caplog.text
    assert not (place / "out").exists()


def test_fewer_training_images_than_prompts_at_the_target(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = read_images(Path("target"))
    keep = (images["split"] != "train") | (images["image_id"] == "train/0")
    write_images(Path("target"), images[keep])
    with pytest.raises(SystemExit, match="1"):
        run("out")
    assert "2 normal prompts are wanted, the category has 1 training images" in caplog.text


def test_an_image_that_is_not_square_keeps_its_map_in_place(place: Path) -> None:
    images = read_images(Path("target"))
    file = images.loc[images["image_id"] == "test/bad0", "file"].iloc[0]
    write_image(place / "target/images" / file, seed=3, defective=False, width=96)
    run("out")
    maps = read_anomaly_maps(place / "out" / "maps")
    own = maps.values[maps.image_ids.index("test/bad0")]
    assert (own[:, 1] > 0).all()
    assert float(own[:, [0, 2]].astype(np.float32).max()) < float(own[:, 1].astype(np.float32).max())
