"""Where the students fail to imitate the teacher, and where they disagree."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RawMaps:
    """Of one image or more, at the resolution of the descriptors.

    Attributes:
        error: e, squared distance of the students' mean to the teacher; at least 0.
        variance: v, mean squared distance of the students to their mean, their uncertainty; at least 0, and 0
            everywhere with a single student.
    """

    error: Float[Tensor, "*B h w"]
    variance: Float[Tensor, "*B h w"]


def raw_maps(students: Float[Tensor, "M B D h w"], teacher: Float[Tensor, "B D h w"]) -> RawMaps:
    """Regression error and predictive variance.

        mu = 1/M sum_k S_k,    e = ||mu - T^||²,    v = 1/M sum_k ||S_k - mu||²

    Bergmann et al., CVPR 2020, section 3.3, equations 7 and 8. v in the centred form: the difference of two large
    means of squares could come out below 0.

    Args:
        students: descriptors of the M students; teacher: T^, the normalised ones of the teacher.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    if students.shape[1:] != teacher.shape:
        raise ValueError(f"shapes differ: students {tuple(students.shape[1:])}, teacher {tuple(teacher.shape)}")
    mean = students.mean(dim=0)
    error = (mean - teacher).square().sum(dim=1)
    return RawMaps(error, (students - mean).square().sum(dim=2).mean(dim=0))


@dataclass(frozen=True)
class ScoreRange:
    """Mean and deviation of e and of v on anomaly-free images: one number for all cells, or one for each."""

    error: tuple[Float[Tensor, "*cells"], Float[Tensor, "*cells"]]
    variance: tuple[Float[Tensor, "*cells"], Float[Tensor, "*cells"]]


def plain_score_map(maps: RawMaps) -> Float[Tensor, "*B h w"]:
    """a = e + v."""
    return maps.error + maps.variance


def standardised_score_map(maps: RawMaps, normal: ScoreRange) -> Float[Tensor, "*B h w"]:
    """a = (e - e_mu) / e_sigma + (v - v_mu) / v_sigma.

    Bergmann et al., CVPR 2020, section 3.3, equation 9. Where sigma is 0 the term is left out: v with a single student.
    """
    total = torch.zeros_like(maps.error)
    for values, (mean, deviation) in ((maps.error, normal.error), (maps.variance, normal.variance)):
        varies = deviation > 0
        safe = torch.where(varies, deviation, torch.ones_like(deviation))
        total = total + torch.where(varies, (values - mean) / safe, 0.0)
    return total


def image_scores(maps: Float[Tensor, "B h w"], *, pooled_cells: int) -> Float[Tensor, " B"]:
    """A = mean of the `pooled_cells` highest values of each map; 1 is the maximum, as published."""
    return maps.flatten(1).topk(pooled_cells, dim=1).values.mean(dim=1)
