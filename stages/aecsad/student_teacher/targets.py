"""Fit the teacher's head and compute what the students shall learn, once."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float16, UInt8
from torch import Tensor

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import to_float
from stages.core.networks.teacher import TeacherHead, fit_normalisation, make_orthonormal, weigh_stages
from stages.core.running.console import progress

BATCH = 8  # of the un-augmented passes; fixed, because the normalisation averages over batches


def fit_teacher(
    head: TeacherHead,
    encoder: FrozenEncoder,
    images: UInt8[Tensor, "N 3 S S"],
    *,
    projection: str,
    stage_weights: Sequence[float],
    keep_stems: bool,
) -> tuple[Float16[Tensor, "N D M M"], Float16[Tensor, "N C h w"] | None]:
    """Fit the head in place on normal training images and return its outputs for them.

    The encoder runs once over the images; the stages are kept in float16 until the head is fitted.

    Args:
        projection: "random" as published or "orthonormal" over standardised channels.
        stage_weights: of the stages at stride 8 and 16.
        keep_stems: return the encoder's features at stride 4, too; else None.

    Raises:
        UserError: a teacher channel has zero variance.
    """
    device = encoder.mean.device
    batches = range(0, len(images), BATCH)
    stages: list[list[Tensor]] = []
    stems: list[Tensor] = []
    for start in progress(batches, total=len(batches), label="teacher features"):
        stem, *rest = (stage.half() for stage in encoder(to_float(images[start : start + BATCH].to(device))))
        stages.append(rest)
        if keep_stems:
            stems.append(stem)
    if projection == "orthonormal":
        mean, std = zip(*(channel_statistics([batch[level] for batch in stages]) for level in (0, 1)), strict=True)
        make_orthonormal(head, mean, std)
    weigh_stages(head, stage_weights)
    fit_normalisation(head, _Projected(head, stages))
    targets = torch.cat([head([stage.float() for stage in batch]).half() for batch in stages])
    return targets, torch.cat(stems) if keep_stems else None


def channel_statistics(batches: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel over all images and cells; a dead channel gets deviation 1."""
    values = torch.cat([batch.float().transpose(0, 1).flatten(1) for batch in batches], dim=1)
    std, mean = torch.std_mean(values, dim=1)
    return mean, torch.where(std > 0, std, torch.ones_like(std))


class _Projected:
    """Un-normalised teacher outputs, batch by batch, as often as asked for."""

    def __init__(self, head: TeacherHead, stages: list[list[Tensor]]) -> None:
        self.head = head
        self.stages = stages

    def __iter__(self) -> Iterator[Tensor]:
        return (self.head.project([stage.float() for stage in batch]) for batch in self.stages)
