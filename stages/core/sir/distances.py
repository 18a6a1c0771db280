"""How far a reconstruction is from the teacher's features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def flat_cosine_distance(
    features: Float[Tensor, "B C h w"], reconstruction: Float[Tensor, "B C h w"]
) -> Float[Tensor, ""]:
    """Mean over images of 1 - cos of the whole feature map as one vector; in [0, 2].

    Deng and Li, "Anomaly Detection via Reverse Distillation", CVPR 2022; flattened as in that paper's code. A vector of
    zeros has the distance 1 to every other.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    refuse_other_shape(features, reconstruction)
    return (1.0 - F.cosine_similarity(features.flatten(1), reconstruction.flatten(1), dim=1)).mean()


def pixel_cosine_distance(
    features: Float[Tensor, "B C h w"], reconstruction: Float[Tensor, "B C h w"]
) -> Float[Tensor, "B h w"]:
    """1 - cos of the two vectors at each cell; in [0, 2].

    Raises:
        ValueError: shapes differ.
    """
    refuse_other_shape(features, reconstruction)
    return 1.0 - F.cosine_similarity(features, reconstruction, dim=1)


def reconstruction_loss(
    features: Sequence[Float[Tensor, "B C h w"]],
    loops: Sequence[Sequence[Float[Tensor, "B C h w"]]],
    *,
    loop_weights: Sequence[float],
    stage_weights: Sequence[float],
) -> Float[Tensor, ""]:
    """sum_t w_t sum_l v_l (1 - cos(F_l, R_l^t)), w of the loops and v of the stages; loops of weight 0 are left out."""
    terms = [
        weight * share * flat_cosine_distance(stage, rebuilt)
        for weight, reconstructions in zip(loop_weights, loops, strict=True)
        if weight
        for share, stage, rebuilt in zip(stage_weights, features, reconstructions, strict=True)
    ]
    return torch.stack(terms).sum()


def refuse_other_shape(first: Tensor, second: Tensor) -> None:
    """Raise ValueError where two tensors differ in shape."""
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {tuple(first.shape)} and {tuple(second.shape)}")
