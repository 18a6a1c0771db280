"""What each self-attention block of the global student looks at in one image."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.networks.global_student import GlobalStudent
from stages.core.networks.self_attention import SelfAttention
from stages.core.running.errors import UserError


@dataclass(frozen=True)
class Attention:
    """The weights of one block, cell by cell.

    Attributes:
        name: "encoder_16x16" and the like: part of the network, and its cells.
        weights: [i, j, k, l] is what cell (i, j), row and column, takes from cell (k, l); the sum over (k, l) is 1.
    """

    name: str
    weights: Float32[np.ndarray, "H W H W"]

    @property
    def received(self) -> Float32[np.ndarray, "H W"]:
        """What all cells together take from each cell, on average; 1 / (H W) where all count the same."""
        return np.asarray(self.weights.mean(axis=(0, 1)))

    def taken_at(self, across: float, down: float) -> Float32[np.ndarray, "H W"]:
        """What the cell at a place takes from each cell; the place as shares in [0, 1) of width and height."""
        height, width = self.weights.shape[:2]
        return np.asarray(self.weights[int(down * height), int(across * width)])


@torch.no_grad()
def attention_of(
    student: GlobalStudent, encoder: FrozenEncoder, image: Float[Tensor, "1 3 S S"]
) -> tuple[Attention, ...]:
    """Run the global student on an image in [0, 1] and collect the weights of its blocks, in their order.

    Raises:
        UserError: it has no self-attention.
    """
    parts = {"encoder": student.encoder_attention, "decoder": student.decoder_attention}
    blocks = [(name, block) for name, modules in parts.items() for block in modules if isinstance(block, SelfAttention)]
    if not blocks:
        raise UserError("this global student has no self-attention (student_teacher.global_student.attention is false)")
    seen: dict[nn.Module, Tensor] = {}

    def note(block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[block] = inputs[0]

    hooks = [block.register_forward_pre_hook(note) for _, block in blocks]
    try:
        student((image - encoder.mean) / encoder.std)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(described(name, block, seen[block]) for name, block in blocks)


def described(part: str, block: SelfAttention, x: Float[Tensor, "1 C H W"]) -> Attention:
    """The weights of a block on its input."""
    height, width = x.shape[-2:]
    weights = block.weights(x)[0].reshape(height, width, height, width)
    return Attention(f"{part}_{height}x{width}", weights.cpu().numpy())
