"""Losses of the student-teacher branch."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def hard_feature_loss(
    teacher: Float[Tensor, "B C H W"], student: Float[Tensor, "B C H W"], *, quantile: float
) -> Float[Tensor, ""]:
    """Mean squared feature distance over the hardest elements only.

        D = (T - S)²,    L_hard = mean{ d in D : d >= Q_q(D) }

    Batzner et al., "EfficientAD", WACV 2024, section 3.2; q is their p_hard. Q is the linearly interpolated
    quantile over the whole batch, found by `topk` instead of a full sort.

    Args:
        teacher: T, standardised per channel over the training set, detached.
        quantile: q in [0, 1); 0 gives the plain mean squared error.

    Raises:
        ValueError: shapes differ (broadcasting would hide it), or q is out of range.
    """
    if teacher.shape != student.shape:
        raise ValueError(f"teacher {tuple(teacher.shape)} and student {tuple(student.shape)} differ in shape")
    if not 0 <= quantile < 1:
        raise ValueError(f"quantile must be in [0, 1), got {quantile}")
    distances = ((teacher - student) ** 2).flatten()
    if quantile == 0:
        return distances.mean()
    position = quantile * (distances.numel() - 1)
    lower = math.floor(position)
    largest = distances.topk(distances.numel() - lower, sorted=True).values
    at_lower = largest[-1]
    at_upper = largest[-2] if len(largest) > 1 else at_lower
    threshold = torch.lerp(at_lower, at_upper, position - lower)
    return largest[largest >= threshold].mean()


def penalty_loss(student: Float[Tensor, "B C H W"]) -> Float[Tensor, ""]:
    """mean S_T(p)²: the head that imitates the teacher shall give nothing on natural images p (CSAD's code)."""
    return (student**2).mean()
