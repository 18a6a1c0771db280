"""Losses of the teacher and the students."""

import torch
from jaxtyping import Float
from torch import Tensor


def distillation_loss(descriptors: Float[Tensor, "B D"], targets: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Mean over patches of ||T(p) - P(p)||², P being the pretrained backbone's descriptor of the patch (L_D).

    Bergmann et al., CVPR 2020, section 3.1, equation 1, without an extra decoder: both sides have D numbers.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    refuse_other_shape(descriptors, targets)
    return (descriptors - targets).square().sum(dim=1).mean()


def compactness_loss(descriptors: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Sum over i < j of |Corr(T_i, T_j)| over the batch, for the dimensions i and j of the descriptor (L_C).

    Bergmann et al., CVPR 2020, section 3.1, equation 4: descriptors shall not be redundant. A dimension that is
    constant over the batch has no correlation; it adds nothing, and no gradient. The sum has D (D - 1) / 2 terms:
    random descriptors of 512 numbers in batches of 64 give 1.3e4, so its weight is a parameter.

    Raises:
        ValueError: fewer than two descriptors.
    """
    if len(descriptors) < 2:
        raise ValueError("the correlation of descriptor dimensions needs two patches in a batch at least")
    centred = descriptors - descriptors.mean(dim=0)
    squares = centred.square().sum(dim=0)
    varies = squares > torch.finfo(squares.dtype).eps * descriptors.square().sum(dim=0)
    unit = torch.where(varies, centred / torch.where(varies, squares, torch.ones_like(squares)).sqrt(), 0.0)
    correlations = (unit.T @ unit).abs()
    return (correlations.sum() - correlations.diagonal().sum()) / 2


def imitation_loss(student: Float[Tensor, "B D h w"], teacher: Float[Tensor, "B D h w"]) -> Float[Tensor, ""]:
    """Mean over pixels of ||S - T^||², T^ being the normalised teacher (L_S).

    Bergmann et al., CVPR 2020, section 3.2, equation 6.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    refuse_other_shape(student, teacher)
    return (student - teacher).square().sum(dim=1).mean()


def refuse_other_shape(first: Tensor, second: Tensor) -> None:
    """Raise ValueError where two tensors differ in shape."""
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {tuple(first.shape)} and {tuple(second.shape)}")
