"""Euclidean distances between two sets of features."""

import torch
from jaxtyping import Float
from torch import Tensor


def squared_distances(a: Float[Tensor, "A C"], b: Float[Tensor, "B C"]) -> Float[Tensor, "A B"]:
    """All squared distances by one matrix product; rounding never makes one negative."""
    squares = a.square().sum(dim=1, keepdim=True) + b.square().sum(dim=1)
    return torch.addmm(squares, a, b.T, alpha=-2.0).clamp_(min=0.0)
