"""Attention maps: the weights are those the block uses, in the right order and place."""

from pathlib import Path

import numpy as np
import pytest
import torch

from commands.attention import Attention, attention_of, highest, show_attention
from stages.aecsad.model.networks import GlobalStudent, SelfAttention
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError

SMALL_GLOBAL = {
    "width": 8, "decoder_steps": [8, 15], "attended_steps": [15], "attention": True, "bottleneck": False,
    "batch_norm": True, "dropout": 0.2,
}  # fmt: skip


def test_the_weights_are_those_the_block_uses() -> None:
    torch.manual_seed(0)
    block, x = SelfAttention(4), torch.randn(2, 4, 3, 5)
    weights = block.weights(x)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 15))
    mixed = block.out(weights @ block.value(x.flatten(2).transpose(1, 2)))
    torch.testing.assert_close(block(x), x + mixed.transpose(1, 2).reshape(x.shape))


def test_every_block_is_described_once_and_the_student_stays_as_it_was() -> None:
    torch.manual_seed(0)
    student = GlobalStudent(dim=6, map_size=32, **SMALL_GLOBAL).eval()  # type: ignore[arg-type]
    image = torch.rand(1, 3, 256, 256)
    encoder = FrozenEncoder("tf_efficientnet_lite0")
    blocks = attention_of(student, encoder, image)
    assert [block.name for block in blocks] == ["encoder_16x16", "encoder_8x8", "decoder_16x16"]
    for block in blocks:
        np.testing.assert_allclose(block.weights.sum(axis=(2, 3)), 1.0, rtol=1e-5)
        assert block.received.sum() == pytest.approx(1.0, rel=1e-5)
    assert not any(module._forward_pre_hooks for module in student.modules())
    inputs: list[torch.Tensor] = []
    first = student.encoder_attention[3]
    first.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    student((image - encoder.mean) / encoder.std)
    assert isinstance(first, SelfAttention)
    expected = first.weights(inputs[0]).detach().reshape(16, 16, 16, 16)
    np.testing.assert_allclose(blocks[0].weights, expected, rtol=1e-5)


def test_the_asked_cell_lies_where_the_place_says() -> None:
    weights = np.zeros((2, 4, 2, 4), dtype=np.float32)
    weights[1, 2, 0, 3] = 1.0
    block = Attention("encoder_2x4", weights)
    assert block.taken_at(0.6, 0.9)[0, 3] == 1.0  # column 2 of 4, row 1 of 2
    assert not block.taken_at(0.4, 0.9).any()
    anomaly_map = np.zeros((4, 8))
    anomaly_map[3, 1] = 1.0
    assert highest(anomaly_map) == (1.5 / 8, 3.5 / 4)


def test_without_attention_there_is_nothing_to_show() -> None:
    student = GlobalStudent(dim=6, map_size=32, **{**SMALL_GLOBAL, "attention": False})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="has no self-attention"):
        attention_of(student, FrozenEncoder("tf_efficientnet_lite0"), torch.rand(1, 3, 256, 256))


def test_a_place_outside_the_image_is_refused() -> None:
    with pytest.raises(UserError, match="two shares from 0 to below 1 are needed"):
        show_attention(Path("a.png"), category="part", output=Path("out"), at=(0.5, 1.0))
