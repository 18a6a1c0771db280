"""RAM++ with tiny random weights against numbers from the authors' code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stages.aecsad.pseudo_label.foundation.ram_plus import (
    RamPlus,
    RamPlusConfig,
    architecture,
    description_weights,
    load_ram_plus,
)
from stages.aecsad.pseudo_label.foundation.tags import TagList, tags_of
from stages.core.run.errors import UserError

HERE = Path(__file__).parent
TOLERANCE = {"atol": 1e-4, "rtol": 0}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(HERE / "ram_plus_tiny_io.npz"))


@pytest.fixture
def published() -> dict[str, Tensor]:
    return load_file(HERE / "ram_plus_tiny.safetensors")


def save(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"model": state}, folder / "ram.pth")
    return folder / "ram.pth"


def load(folder: Path, state: dict[str, Tensor]) -> RamPlus:
    return load_ram_plus(save(folder, state), tags=24)


def test_every_step_agrees(tmp_path: Path, published: dict[str, Tensor], golden: dict[str, np.ndarray]) -> None:
    network = load(tmp_path, published)
    images = torch.from_numpy(golden["image"])
    tokens = network.image_tokens(images)
    queries = network.tag_queries(tokens[:, 0])
    weights = description_weights(tokens[:, 0], network.label_embed.view(24, 5, 512), network.reweight_scale)
    np.testing.assert_allclose(tokens, golden["image_embeds"], **TOLERANCE)
    np.testing.assert_allclose(weights, golden["description_weights"], **TOLERANCE)
    np.testing.assert_allclose(queries, golden["label_embed_reweight_proj"], **TOLERANCE)
    head = network.tagging_head["encoder"]
    np.testing.assert_allclose(head.layer[0](queries, tokens), golden["head_layer0"], **TOLERANCE)
    np.testing.assert_allclose(head(queries, tokens), golden["tagging_embed"], **TOLERANCE)
    np.testing.assert_allclose(network(images), golden["logits"], **TOLERANCE)


def test_tags_apply_above_their_thresholds(golden: dict[str, np.ndarray]) -> None:
    names = tuple(golden["tag_list"].tolist())
    for logits, positive, probabilities in zip(golden["logits"], golden["positive"], golden["prob"], strict=True):
        found = tags_of(torch.from_numpy(logits), TagList(names, golden["class_threshold"]))
        assert [tag.name for tag in found] == [name for name, yes in zip(names, positive, strict=True) if yes]
        np.testing.assert_allclose([tag.probability for tag in found], probabilities[positive], **TOLERANCE)
        assert all(tag.applies for tag in found)
        near = tags_of(torch.from_numpy(logits), TagList(names, golden["class_threshold"]), near=1.0)
        assert len(near) == 24
        assert [tag.applies for tag in near] == positive.tolist()


def test_without_reweight_scale_the_class_default_holds(
    tmp_path: Path, published: dict[str, Tensor], golden: dict[str, np.ndarray]
) -> None:
    del published["reweight_scale"]
    published["logit_scale"] = torch.tensor(9.0)  # of the training; not to be read instead
    logits = load(tmp_path, published)(torch.from_numpy(golden["image"]))
    np.testing.assert_allclose(logits, golden["logits_default_reweight_scale"], **TOLERANCE)


def test_older_names_of_the_head_load_the_same(
    tmp_path: Path, published: dict[str, Tensor], golden: dict[str, np.ndarray]
) -> None:
    renamed = {name.replace("tagging_head.", "vision_multi."): value for name, value in published.items()}
    np.testing.assert_allclose(
        load(tmp_path, renamed)(torch.from_numpy(golden["image"])), golden["logits"], **TOLERANCE
    )


def test_eps_is_the_published_one(tmp_path: Path, published: dict[str, Tensor]) -> None:
    """The outputs hardly tell 1e-5 from 1e-6."""
    network = load(tmp_path, published)
    found = {name: module.eps for name, module in network.named_modules() if isinstance(module, nn.LayerNorm)}
    assert {eps for name, eps in found.items() if name.startswith("visual_encoder.")} == {1e-5}
    assert {eps for name, eps in found.items() if name.startswith("tagging_head.")} == {1e-12}
    assert len(found) == 1 + 3 + 2 * 10 + 1 + 2 * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("fc.bias"), r"ram\.pth: not the checkpoint that is expected: fc\.bias is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is unknown"),
        (lambda state: state.update({"fc.bias": torch.zeros(2)}), r"fc\.bias has shape \(2,\), not \(1,\)"),
    ],
)
def test_another_checkpoint_is_refused(tmp_path: Path, published: dict[str, Tensor], change, message: str) -> None:
    change(published)
    with pytest.raises(UserError, match=message):
        load(tmp_path, published)


def test_a_file_with_more_than_tensors_is_refused(tmp_path: Path, published: dict[str, Tensor]) -> None:
    torch.save({"model": published, "config": Path("x")}, tmp_path / "ram.pth")
    with pytest.raises(UserError, match=r"ram\.pth: holds more than tensors"):
        load_ram_plus(tmp_path / "ram.pth", tags=24)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ram.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"ram\.pth: .*fetch it again"):
        load_ram_plus(tmp_path / "ram.pth", tags=24)


def test_the_published_size() -> None:
    """367 parameters of 329.5 million elements; `label_embed` has a row for each description of each tag."""
    with torch.device("meta"):
        state = RamPlus(RamPlusConfig()).state_dict()
    assert len(state) == 367
    assert sum(value.numel() for value in state.values()) == pytest.approx(329.5e6, rel=1e-3)
    assert state["label_embed"].shape == (233835, 512)
    assert architecture(Path("ram.pth"), state, tags=4585) == RamPlusConfig()


def test_a_tag_list_of_another_length_is_refused(tmp_path: Path, published: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match="120 tag descriptions for a list of 23 tags"):
        load_ram_plus(save(tmp_path, published), tags=23)
