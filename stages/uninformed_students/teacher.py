"""Distil the backbone into a patch network, and normalise its descriptors."""

import logging
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.training.optimisation import Terms, optimise
from stages.uninformed_students.augmentation import Augmentation
from stages.uninformed_students.params import DistilledTeacherParams
from stages.uninformed_students.patch_network import Backbone, PatchNetwork
from stages.uninformed_students.training import (
    Batch,
    FinishedNetworks,
    compactness_loss,
    distillation_loss,
    draw_batches,
    gpu_precision,
    number_of_iterations,
)

LOG = logging.getLogger(__name__)
DEAD = 1e-8  # variance of a descriptor number, as a share of the largest, below which it carries nothing
SAMPLE = 1024  # patches that show whether the backbone separates them, and on what scale


@dataclass
class RunningStatistics:
    """Mean and population variance per channel of values that come in batches and are never in memory together.

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979: exact
    whatever the batches, and without the difference of two large sums. In float64.
    """

    count: int
    mean: Float64[Tensor, " C"]
    squares: Float64[Tensor, " C"]

    @classmethod
    def empty(cls, channels: int) -> Self:
        """Begin before the first batch."""
        return cls(0, torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64))

    def add(self, values: Tensor) -> None:
        """Take in values with the channels in the second axis: B C h w, or B C."""
        columns = values.detach().transpose(0, 1).flatten(1).to("cpu", torch.float64)
        count = columns.shape[1]
        if count == 0:
            return
        mean = columns.mean(dim=1)
        squares = (columns - mean[:, None]).square().sum(dim=1)
        total = self.count + count
        shift = mean - self.mean
        self.squares = self.squares + squares + shift.square() * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @property
    def variance(self) -> Float64[Tensor, " C"]:
        """Return the mean squared deviation.

        Raises:
            ValueError: nothing was added.
        """
        if self.count == 0:
            raise ValueError("no values to take a variance of")
        return self.squares / self.count


def fit_backbone(
    backbone: Backbone, images: UInt8[Tensor, "N 3 S S"], augment: Augmentation, *, standardise: bool, seed: int
) -> None:
    """Fit the backbone on a sample of training patches, in place.

    Raises:
        UserError: see `Backbone.fit`.
    """
    generator = torch.Generator().manual_seed(seed)
    sample = next(draw_batches(len(images), SAMPLE, generator, per_image=-(-SAMPLE // len(images))))
    backbone.fit(augment(images[sample.rows], sample.seeds).to(backbone.mean.device), standardise=standardise)


def train_teacher(
    network: PatchNetwork,
    backbone: Backbone,
    images: UInt8[Tensor, "N 3 S S"],
    params: DistilledTeacherParams,
    *,
    finished: FinishedNetworks,
    seed: int,
) -> None:
    """Train the teacher in place; the last iteration's weights stay.

        L = L_D + compactness_weight L_C

    Args:
        backbone: fitted.
        seed: of the batches.
    """
    augment, training = Augmentation(params.augmentation, patch_size=network.patch_size), params.training
    batches = draw_batches(
        len(images), training.batch_size, torch.Generator().manual_seed(seed), per_image=params.crops_per_image
    )

    def terms_of(batch: Batch) -> Terms:
        patches = augment(images[batch.rows], batch.seeds).to(backbone.mean.device)
        return distillation_terms(network, backbone, patches)

    iterations = number_of_iterations(
        training.iterations, images=len(images), batch_size=training.batch_size, per_image=params.crops_per_image
    )
    finished.train(
        network,
        lambda checkpoint: optimise(
            network, batches, terms_of, weights={"distillation": 1.0, "compactness": params.compactness_weight},
            iterations=iterations, optimizer=training.optimizer, schedule=training.schedule,
            learning_rate=training.learning_rate, weight_decay=training.weight_decay,
            label=f"teacher of {network.patch_size} px", checkpoint=checkpoint,
        ),
        phase=f"teacher, {network.patch_size} px", label="teacher", tensors=[images, backbone.mean, backbone.std],
        settings={**params.model_dump(), "network": network.arguments, "backbone": backbone.encoder.name, "seed": seed},
    )  # fmt: skip


def distillation_terms(network: PatchNetwork, backbone: Backbone, patches: Float[Tensor, "B 3 p p"]) -> Terms:
    """Compute both terms of the teacher's loss on a batch."""
    with gpu_precision(patches.device):
        descriptors = network(patches)
    descriptors = descriptors.float()
    return {
        "distillation": distillation_loss(descriptors, backbone(patches)),
        "compactness": compactness_loss(descriptors),
    }


@torch.no_grad()
def normalise_teacher(
    network: PatchNetwork, images: UInt8[Tensor, "N 3 S S"], inference: Augmentation, *, stride: int, tile: int
) -> None:
    """Give each number of the descriptor mean 0 and variance 1 over all pixels of all training images, in place.

        T^ = (T - mu) / sigma

    Bergmann et al., CVPR 2020, section 3.2. The decoder is linear, so the normalisation is folded into it. Images come
    as they are, without flips, in float32, as a number may vary little about a large mean. One of almost no variance
    becomes 0 everywhere; the log reports how many.

    Args:
        network: the teacher.
        images: of training.
        inference: how images are prepared.
        stride: see `UninformedStudentsParams`.
        tile: see `UninformedStudentsParams`.

    Raises:
        UserError: no number varies.
    """
    statistics, device = RunningStatistics.empty(network.arguments["dim"]), network.decode.weight.device
    for image in progress(images, total=len(images), label="descriptor statistics"):
        padded = network.pad(inference.normalise(image[None]).to(device))
        for part in network.tiles(*image.shape[1:], stride=stride, side=tile):
            statistics.add(network.describe_tile(padded, part, stride=stride))
    mean, factor = (values.to(device) for values in descriptor_scale(statistics))
    assert network.decode.bias is not None
    network.decode.weight.mul_(factor.view(-1, 1, 1, 1))
    network.decode.bias.sub_(mean).mul_(factor)


def descriptor_scale(statistics: RunningStatistics) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Return mu and 1 / sigma of each number; 0 for one of almost no variance, which the log reports.

    Raises:
        UserError: no number varies.
    """
    variance = statistics.variance
    alive = variance > DEAD * variance.max()
    if not bool(alive.any()):
        raise UserError("the teacher describes every pixel of the training images alike: are they all of one colour?")
    if not bool(alive.all()):
        LOG.warning(
            "%d of %d numbers of the teacher's descriptor do not vary: they are set to 0",
            int((~alive).sum()),
            len(alive),
        )
    scale = torch.where(alive, variance.clamp_min(torch.finfo(torch.float64).tiny).rsqrt(), 0.0)
    return statistics.mean.float(), scale.float()
