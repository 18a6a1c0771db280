"""GroundingDINO with tiny hashed weights: our loader and the installed transformers against the package as published.

The numbers were made with transformers 4.57.6, whose BertModel still has what groundingdino-py calls. An upgrade that
breaks the text encoder, loudly or silently, fails here.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stages.aecsad.pseudo_label.foundation.grounding_dino import extended_attention_mask, load_grounding_dino, quietly
from stages.core.run.errors import UserError

with quietly():
    from tests.golden.tiny_grounding_dino import outputs, tiny_state, write_text_folder

GOLDEN = np.load(Path(__file__).parent / "grounding_dino_tiny.npz")


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_folder(tmp_path_factory.mktemp("text"))


def save(folder: Path, state: dict[str, Tensor]) -> Path:
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, folder / "gd.pth")
    return folder / "gd.pth"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, text_folder: Path) -> nn.Module:
    state = tiny_state(text_folder)
    training_only = {
        "label_enc.weight": torch.zeros(3, 256),
        "bert.embeddings.position_ids": torch.arange(256)[None],
    }
    return load_grounding_dino(save(tmp_path_factory.mktemp("weights"), state | training_only), text_folder)


def test_outputs_are_those_of_the_published_package(network: nn.Module) -> None:
    with quietly():
        found = outputs(network)
    for number in (0, 1):
        expected = GOLDEN[f"logits{number}"]
        np.testing.assert_allclose(found[f"logits{number}"][:, : expected.shape[1]], expected, atol=2e-4, rtol=0)
        assert torch.isneginf(found[f"logits{number}"][:, expected.shape[1] :]).all()
        np.testing.assert_allclose(found[f"boxes{number}"], GOLDEN[f"boxes{number}"], atol=1e-5, rtol=0)


def test_the_tokenizer_is_of_the_class_that_users_get(network: nn.Module) -> None:
    """The published files name none, so the model's own is taken; it is built again from the vocabulary."""
    assert type(network.tokenizer).__name__ == "BertTokenizer"


def test_the_text_mask_is_alive(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it every class would see every other one: the golden numbers are sensitive to that."""
    bert = network.bert
    monkeypatch.setattr(bert, "get_extended_attention_mask", lambda mask, *_: 0 * extended_attention_mask(mask))
    with quietly():
        found = outputs(network)["logits0"][:, : GOLDEN["logits0"].shape[1]]
    assert np.abs(found.numpy() - GOLDEN["logits0"]).max() > 0.1


def test_outputs_survive_low_precision(network: nn.Module) -> None:
    with quietly(), torch.autocast("cpu", torch.bfloat16):
        found = outputs(network)["boxes0"]
    assert torch.isfinite(found).all()


def test_a_missing_or_unknown_tensor_is_refused(tmp_path: Path, text_folder: Path) -> None:
    state = tiny_state(text_folder)
    left_out = {name: value for name, value in state.items() if name != "feat_map.weight"}
    with pytest.raises(UserError, match=r"gd\.pth: not the checkpoint that is expected: feat_map\.weight is missing"):
        load_grounding_dino(save(tmp_path, left_out), text_folder)
    with pytest.raises(UserError, match="surprise is unknown"):
        load_grounding_dino(save(tmp_path, state | {"surprise": torch.zeros(1)}), text_folder)


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing: fetch"):
        load_grounding_dino(tmp_path / "gd.pth", tmp_path)
