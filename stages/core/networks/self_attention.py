"""Single-head self-attention over the cells of a feature map."""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """y = x + W_o softmax(Q Kᵀ / sqrt(d)) V with tokens = cells and d = channels.

    AeCSAD thesis, section 4.7.1 and equation 3.5: no layer norm, no positional code. The projections' biases and
    d = channels are our choice; the thesis does not give them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)

    def weights(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H*W H*W"]:
        """softmax(Q Kᵀ / sqrt(d)): row i says how much cell i takes from each cell; rows sum to 1."""
        tokens = x.flatten(2).transpose(1, 2)
        similarity: Tensor = self.query(tokens) @ self.key(tokens).transpose(1, 2)
        return (similarity / math.sqrt(x.shape[1])).softmax(dim=-1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Mix every cell with all others; the shape stays."""
        tokens = x.flatten(2).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(self.query(tokens), self.key(tokens), self.value(tokens))
        attended: Tensor = self.out(mixed)
        return x + attended.transpose(1, 2).reshape(x.shape)
