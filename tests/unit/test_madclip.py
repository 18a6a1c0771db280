"""MadCLIP: losses and scores by hand, invariants, shots, bad input, and a run of the stage on drawn images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.core.artifacts.anomaly_maps import read_anomaly_maps
from stages.core.artifacts.scores import branch_names, read_scores
from stages.core.artifacts.weights import read_weights
from stages.core.clip.build import load_encoder
from stages.core.running.errors import UserError
from stages.madclip.__main__ import main
from stages.madclip.adapters import Adapter, DualAdapters, Similarities
from stages.madclip.augmentation import Shots, augment
from stages.madclip.losses import dice_loss, focal_loss, loss_terms, siglip_loss
from stages.madclip.network import MadClip
from stages.madclip.params import TargetParams
from stages.madclip.scores import abnormal_maps
from stages.madclip.variants import VARIANTS, VariantName
from tests.unit.clip_case import SIZE, make_deep, make_grey, tiny_params, write_clip_params, write_pool, write_target

OPTIONS = [
    "--images", "target/images.parquet", "--image-files", "target/images", "--pool", "pool", "--category", "part",
    "--model", "model.safetensors", "--choice", "choice.json",
]  # fmt: skip


def test_losses_by_hand() -> None:
    """One patch, S = (0.5, -1), a normal image: log sigmoid(0.5) + log sigmoid(1)."""
    detection = torch.tensor([[[0.5, -1.0]]])
    expected = np.log1p(np.exp(-0.5)) + np.log1p(np.exp(-1.0))
    assert float(siglip_loss(detection, torch.tensor([0.0]))) == pytest.approx(expected, rel=1e-5)
    probabilities = torch.tensor([[[[0.8, 0.3]], [[0.2, 0.7]]]])  # normal, abnormal of two pixels
    masks = torch.tensor([[[0.0, 1.0]]])
    focal = (-(0.2**2) * np.log(0.8) - 0.3**2 * np.log(0.7)) / 2
    assert float(focal_loss(probabilities, masks)) == pytest.approx(focal, rel=1e-3)
    dice = 1 - (2 * 0.7 + 1) / (0.9 + 1 + 1)
    assert float(dice_loss(probabilities[:, 1], masks)) == pytest.approx(dice, rel=1e-5)


def similarities(batch: int) -> Similarities:
    generator = torch.Generator().manual_seed(0)
    return Similarities(*(torch.randn(4, batch, 9, 2, generator=generator) for _ in range(2)))


def test_an_anomaly_without_a_mask_takes_no_part_in_the_segmentation() -> None:
    found, labels, masks = similarities(3), torch.tensor([0.0, 1.0, 1.0]), torch.zeros(3, 12, 12)
    masks[1, 3:6, 3:6] = 1.0
    some = loss_terms(found, labels, masks, torch.tensor([True, True, False]))
    fewer = Similarities(found.detection[:, :2], found.segmentation[:, :2])
    without = loss_terms(fewer, labels[:2], masks[:2], torch.ones(2, dtype=torch.bool))
    assert float(some["focal"]) == pytest.approx(float(without["focal"]))
    assert float(some["dice"]) == pytest.approx(float(without["dice"]))
    assert set(loss_terms(found, labels, masks, torch.zeros(3, dtype=torch.bool))) == {"siglip"}


def test_probabilities_add_up_and_the_map_is_the_abnormal_one() -> None:
    maps = abnormal_maps(similarities(2).segmentation, size=20)
    assert maps.shape == (4, 2, 2, 20, 20)
    torch.testing.assert_close(maps.sum(dim=2), torch.ones(4, 2, 20, 20))
    torch.testing.assert_close(0.5 * (1 - maps[:, :, 0]) + 0.5 * maps[:, :, 1], maps[:, :, 1])


def test_swapping_the_texts_negates_the_similarities() -> None:
    torch.manual_seed(0)
    adapters = DualAdapters(width=8, embed_dim=6, leak=0.01, normalise_hidden=True)
    tokens, texts = torch.randn(2, 4, 10, 8), torch.nn.functional.normalize(torch.randn(6, 2), dim=0)
    found, swapped = adapters(tokens, texts), adapters(tokens, texts.flip(1))
    assert found.detection.shape == (4, 2, 9, 2)
    torch.testing.assert_close(found.segmentation, -swapped.segmentation)
    assert float(found.detection.detach().abs().max()) <= 2.0


def test_variants_of_the_adapter_by_hand() -> None:
    """W1 = identity; the paper: ReLU. The code: LeakyReLU, then the channels have mean 0 and deviation 1."""
    tokens = torch.tensor([[[3.0, -100.0]]])
    for leak, normalise, expected in (
        (0.0, False, [3.0, 0.0]),
        (0.01, False, [3.0, -0.01]),
        (0.01, True, [1.0, -0.01]),
    ):
        adapter = Adapter(2, 2, leak=leak, normalise_hidden=normalise)
        for layer in (adapter.fc1, adapter.fc2, adapter.fc3):
            torch.nn.init.eye_(layer[0].weight)
        for found in adapter(tokens):
            torch.testing.assert_close(found[0, 0].detach(), torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_what_is_trained(name: VariantName) -> None:
    encoder = load_encoder(tiny_params())
    network = MadClip(encoder, name="brain", variant=name, learned="both")
    contexts = sorted(network.texts.ctx)
    assert contexts == sorted(f"{s}_{p}" for s in ("normal", "abnormal") for p in VARIANTS[name].positions)
    assert network.texts(encoder).shape == (32, 2)
    assert sorted(MadClip(encoder, name="brain", variant=name, learned="abnormal").texts.ctx) == [
        context for context in contexts if context.startswith("abnormal")
    ]


def test_augmentation_keeps_masks_with_their_images() -> None:
    """A white square on black: wherever the image is bright, the mask is 1."""
    images, masks = torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32)
    images[1, :, 8:16, 10:20], masks[1, 8:16, 10:20] = 1.0, 1.0
    found = augment(Shots(images, masks), zoom_and_jitter=True, generator=torch.Generator().manual_seed(0))
    assert found.images.shape == (32, 3, 32, 32)
    assert set(found.masks.unique().tolist()) == {0.0, 1.0}
    assert not found.masks[0::2].any()
    plain = [row for row in range(1, 32, 2) if row != 27]  # 13 is the jitter
    assert torch.equal((found.images[plain, 0] > 0.5).float(), found.masks[plain])


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
    return read_scores(Path(name) / "scores.parquet").set_index("image_id")


def test_the_stage_writes_scores_maps_model_and_shots(place: Path) -> None:
    scores = run("out")
    assert branch_names(scores.reset_index()) == ["draw_0", "draw_1", "largest_cell", "detection"]
    assert len(scores) == 6
    assert scores["score"].to_list() == scores["largest_cell"].to_list() == scores["draw_0"].to_list()
    maps = read_anomaly_maps(place / "out" / "maps")
    assert maps.values.shape == (6, SIZE, SIZE)
    assert maps.values.astype(np.float32).reshape(6, -1).max(axis=1) == pytest.approx(scores["score"], abs=2e-3)
    choice = json.loads((place / "choice.json").read_text())
    assert choice["image_score"] == "largest_cell"
    assert all(len(draw["normal"]) == len(draw["anomalous"]) == 2 for draw in choice["drawn"].values())
    assert choice["drawn"]["draw_0"] != choice["drawn"]["draw_1"]
    state, arguments = read_weights(place / "model.safetensors")
    MadClip(load_encoder(tiny_params()), **arguments).load_state_dict(state, strict=True)


def test_shots_of_any_draw_are_trained_on_and_not_scored(place: Path) -> None:
    """All four anomalies of the pool lie in the target's validation, by content; each draw takes another one."""
    write_clip_params(place, seed=1, profiles__smoke__madclip__shots=1)
    pool = pd.read_parquet("pool/pool.parquet")
    for row in pool[pool["is_anomalous"]].itertuples():
        (place / "target/images" / row.file).write_bytes((place / "pool/images" / row.file).read_bytes())
    aside = pool[pool["is_anomalous"]].assign(split="validation_anomalous")[["image_id", "file", "split"]]
    pd.concat([pd.read_parquet("target/images.parquet"), aside]).to_parquet("target/images.parquet")
    scores = run("out")
    drawn = json.loads((place / "choice.json").read_text())["drawn"].values()
    shots = {name for draw in drawn for name in draw["anomalous"]}
    assert len(shots) == 2
    assert set(scores.index) & set(aside["image_id"]) == set(aside["image_id"]) - shots
    assert len(scores) == 6 + 4 - len(shots)


def test_16_bit_images_each_through_the_window_of_their_category(place: Path) -> None:
    target, source, fast = place / "target/images", place / "pool/images", {"profiles__smoke__madclip__draws": 1}
    for folder in (target, source):
        make_grey(folder)
    write_clip_params(place, **fast)
    expected = run("a")
    windows = {"window": make_deep(target, offset=1000), "trained_on_window": make_deep(source, offset=30_000)}
    part = {"trained_on": "other", "object": "steel part", **windows}
    write_clip_params(place, **fast, madclip__categories__part=part)
    assert run("b").equals(expected)


def test_the_windows_of_the_pool() -> None:
    one, other = {"level": 10, "width": 20}, {"level": 1, "width": 2}
    itself = TargetParams.model_validate({"trained_on": "part", "object": "x", "window": one})
    assert itself.pool_window("part") == itself.window is not None
    assert itself.pool_window("else") is None
    both = TargetParams.model_validate({"trained_on": "part", "object": "x", "trained_on_window": other})
    with pytest.raises(UserError, match=r"categories\.part\.trained_on_window: part is trained on itself: remove it"):
        both.pool_window("part")


def test_the_same_seed_gives_the_same_scores_and_every_option_of_the_training_others(place: Path) -> None:
    def scores(name: str, **changes: Any) -> pd.Series:
        write_clip_params(place, **{f"profiles__smoke__madclip__{key}": value for key, value in changes.items()}, **one)
        return run(name)["score"]

    one = {"profiles__smoke__madclip__draws": 1}
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
    assert "2 of 2 anomalous shots have no mask, the segmentation losses leave them out: bad/" in caplog.text
    assert json.loads((place / "choice.json").read_text())["image_score"] == "detection"


def test_one_draw_without_a_mask_costs_all_draws_their_maps(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With seed 1, draws of one shot take the pool's anomalies 1 and 3; only 3 has a mask."""
    write_clip_params(place, seed=1, profiles__smoke__madclip__shots=1)
    pool = pd.read_parquet("pool/pool.parquet")
    pool["mask_files"] = [row.mask_files if row.image_id == "bad/9" else [] for row in pool.itertuples()]
    pool.to_parquet("pool/pool.parquet")
    scores = run("out")
    assert scores["score"].to_list() == scores["detection"].to_list()
    assert not (place / "out" / "maps").exists()
    assert "no anomalous shot of draw_0 has a mask: all draws are scored by detection" in caplog.text


def test_no_score_depends_on_the_other_images(place: Path) -> None:
    together = run("a")
    images = pd.read_parquet("target/images.parquet")
    images[images["image_id"] == "test/bad1"].to_parquet("target/images.parquet")
    assert run("b")["score"].to_list() == [together["score"]["test/bad1"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"profiles__smoke__madclip__shots": 5},
            "5 normal and 5 anomalous images are wanted, the pool outside test has 6 and 4: lower it, or let the split",
        ),
        ({"profiles__smoke__madclip__blocks": [1, 2, 3]}, r"smoke\.yaml: madclip\.blocks\.3: Field required"),
        (
            {"profiles__smoke__madclip__blocks": [6, 12, 18, 24]},
            r"blocks: \[6, 12, 18, 24\] must be .* from 1 to 4, the",
        ),
        ({"profiles__smoke__madclip__variant": "mine"}, "variant: Input should be 'as_code' or 'as_paper'"),
        (
            {"madclip__categories": {"part": {"trained_on": "other", "object": "_"}}},
            r"madclip\.categories\.part\.object: .*'_' has no letter or digit: name the object in words",
        ),
        ({"madclip__categories": {}}, r"the key 'madclip\.categories\.part' is missing"),
        (
            {"madclip__categories": {"part": {"trained_on": "x", "object": "very " * 75 + "long"}}},
            "give the object a shorter name",
        ),
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
def test_other_texts_and_the_papers_reading_run(place: Path, texts: str) -> None:
    write_clip_params(place, profiles__smoke__madclip__texts=texts, profiles__smoke__madclip__variant="as_paper")
    scores = run("out")
    assert scores["score"].between(0, 1).all()  # a mean over the blocks
    assert scores["score"].to_list() == scores["detection"].to_list()
