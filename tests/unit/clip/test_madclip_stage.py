"""MadCLIP's stage on drawn images: its outputs, excluded shots, windows, masks, options, bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.clip.madclip.__main__ import main
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.params import TargetParams
from stages.clip.model.weights import load_encoder
from stages.core.io.maps import read_anomaly_maps
from stages.core.io.result import branch_names, read_result
from stages.core.io.tables import read_images, write_images
from stages.core.io.weights import read_weights
from stages.core.run.errors import UserError
from tests.unit.clip.case import SIZE, make_deep, make_grey, tiny_params, write_clip_params, write_pool, write_target

OPTIONS = [
    "--inputs", "target", "--pool", "pool", "--category", "part",
    "--model", "model.safetensors", "--choice", "choice.json",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target `part` and a pool to learn from."""
    monkeypatch.chdir(tmp_path)
    write_clip_params(tmp_path)
    write_target(tmp_path / "target", others=2)
    write_pool(tmp_path / "pool", masked=3)
    return tmp_path


def run(name: str) -> pd.DataFrame:
    main([*OPTIONS, "--scores", name])
    return read_result(Path(name)).scores.set_index("image_id")


def test_the_stage_writes_scores_maps_model_and_shots(place: Path) -> None:
    scores = run("out")
    assert branch_names(scores.reset_index()) == ["repetition_0", "repetition_1", "largest_cell", "detection"]
    assert len(scores) == 6
    assert scores["score"].to_list() == scores["largest_cell"].to_list() == scores["repetition_0"].to_list()
    maps = read_anomaly_maps(place / "out" / "maps")
    assert maps.values.shape == (6, SIZE, SIZE)
    assert maps.values.astype(np.float32).reshape(6, -1).max(axis=1) == pytest.approx(scores["score"], abs=2e-3)
    choice = json.loads((place / "choice.json").read_text())
    assert choice["image_score"] == "largest_cell"
    assert all(len(draw["normal"]) == len(draw["anomalous"]) == 2 for draw in choice["drawn"].values())
    assert choice["drawn"]["repetition_0"] != choice["drawn"]["repetition_1"]
    state, arguments = read_weights(place / "model.safetensors")
    MadClip(load_encoder(tiny_params()), **arguments).load_state_dict(state, strict=True)


def test_shots_of_any_repetition_are_not_scored(place: Path) -> None:
    """All four anomalies of the pool are in the target's validation, by content; each repetition takes another one."""
    write_clip_params(place, seed=1, profiles__smoke__madclip__shots=1)
    pool = pd.read_parquet("pool/pool.parquet")
    for row in pool[pool["is_anomalous"]].itertuples():
        (place / "target/images" / row.file).write_bytes((place / "pool/images" / row.file).read_bytes())
    aside = pool[pool["is_anomalous"]].assign(split="validation_anomalous")[["image_id", "file", "split"]]
    write_images(Path("target"), pd.concat([read_images(Path("target")), aside]))
    scores = run("out")
    drawn = json.loads((place / "choice.json").read_text())["drawn"].values()
    shots = {name for draw in drawn for name in draw["anomalous"]}
    assert len(shots) == 2
    assert set(scores.index) & set(aside["image_id"]) == set(aside["image_id"]) - shots
    assert len(scores) == 6 + 4 - len(shots)


def test_16_bit_images_go_through_the_window_of_their_category(place: Path) -> None:
    target, source, fast = place / "target/images", place / "pool/images", {"profiles__smoke__madclip__repetitions": 1}
    for folder in (target, source):
        make_grey(folder)
    write_clip_params(place, **fast)
    expected = run("a")
    windows = {"window": make_deep(target, offset=1000), "trained_on_window": make_deep(source, offset=30_000)}
    part = {"trained_on": "other", "object": "steel part", **windows}
    write_clip_params(place, **fast, methods__madclip__categories__part=part)
    assert run("b").equals(expected)


def test_the_windows_of_the_pool() -> None:
    one, other = {"level": 10, "width": 20}, {"level": 1, "width": 2}
    itself = TargetParams.model_validate({"trained_on": "part", "object": "x", "window": one})
    assert itself.pool_window("part") == itself.window is not None
    assert itself.pool_window("else") is None
    both = TargetParams.model_validate({"trained_on": "part", "object": "x", "trained_on_window": other})
    with pytest.raises(UserError, match=r"categories\.part\.trained_on_window: part is trained on itself: remove it"):
        both.pool_window("part")


def test_scores_repeat_with_the_seed_and_depend_on_every_option(place: Path) -> None:
    def scores(name: str, **changes: Any) -> pd.Series:
        write_clip_params(place, **{f"profiles__smoke__madclip__{key}": value for key, value in changes.items()}, **one)
        return run(name)["score"]

    one = {"profiles__smoke__madclip__repetitions": 1}
    first = scores("a")
    assert first.equals(scores("b"))
    for changes in ({"training__epochs": 2}, {"decision": "max"}, {"decision": "both"}):
        assert not first.equals(scores("c", **changes)), changes


def test_without_any_mask_only_detection_is_trained(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    pool = pd.read_parquet("pool/pool.parquet")
    pool["mask_files"] = [[] for _ in range(len(pool))]
    pool.to_parquet("pool/pool.parquet")
    scores = run("out")
    assert scores["score"].to_list() == scores["detection"].to_list()
    assert not (place / "out" / "maps").exists()
    assert "2 of 2 anomalous shots have no mask and are excluded from the segmentation losses: bad/" in caplog.text
    assert json.loads((place / "choice.json").read_text())["image_score"] == "detection"


def test_a_repetition_without_a_mask_costs_all_their_maps(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With seed 1, repetitions of one shot take the pool's anomalies 1 and 3; only 3 has a mask."""
    write_clip_params(place, seed=1, profiles__smoke__madclip__shots=1)
    pool = pd.read_parquet("pool/pool.parquet")
    pool["mask_files"] = [row.mask_files if row.image_id == "bad/9" else [] for row in pool.itertuples()]
    pool.to_parquet("pool/pool.parquet")
    scores = run("out")
    assert scores["score"].to_list() == scores["detection"].to_list()
    assert not (place / "out" / "maps").exists()
    assert "no anomalous shot of repetition_0 has a mask: all repetitions are scored by detection" in caplog.text


def test_no_score_depends_on_the_other_images(place: Path) -> None:
    together = run("a")
    images = read_images(Path("target"))
    write_images(Path("target"), images[images["image_id"] == "test/bad1"])
    assert run("b")["score"].to_list() == [together["score"]["test/bad1"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"profiles__smoke__madclip__shots": 5},
            "5 normal and 5 anomalous images are wanted, the pool outside test has 6 and 4: lower it, or let the split",
        ),
        (
            {"profiles__smoke__madclip__blocks": [1, 2, 3]},
            r"smoke\.yaml: madclip\.blocks is \[1, 2, 3\]: expected list of 4",
        ),
        ({"methods__madclip__categories": {}}, r"the key 'methods\.madclip\.categories\.part' is missing"),
    ],
)
def test_bad_input_is_one_clear_message(
    place: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], message: str
) -> None:
    write_clip_params(place, **changes)
    with pytest.raises(SystemExit, match="1"):
        run("out")
    assert pd.Series([caplog.text.replace("\n", " ")]).str.contains(message).all(), caplog.text
    assert not (place / "out").exists()


@pytest.mark.parametrize("texts", ["abnormal", "none"])
def test_fixed_texts_and_the_papers_variant(place: Path, texts: str) -> None:
    write_clip_params(place, profiles__smoke__madclip__texts=texts, profiles__smoke__madclip__variant="as_paper")
    scores = run("out")
    assert scores["score"].between(0, 1).all()  # a mean over the blocks
    assert scores["score"].to_list() == scores["detection"].to_list()
