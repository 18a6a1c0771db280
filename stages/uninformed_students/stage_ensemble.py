"""Train students on a pretrained network's early stages, and map an image by them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.console import progress
from stages.core.training.optimisation import Terms
from stages.uninformed_students.augmentation import Augmentation, Transforms
from stages.uninformed_students.params import StudentsParams
from stages.uninformed_students.scoring import RawMaps, raw_maps
from stages.uninformed_students.stage_network import StageMaps, StageStudent, StageTeacher
from stages.uninformed_students.teacher import RunningStatistics, descriptor_scale
from stages.uninformed_students.training import (
    Batch,
    Described,
    FinishedNetworks,
    imitation_loss,
    name_of,
    train_together,
)


@dataclass(frozen=True)
class StageEnsemble:
    """A normalised teacher of stages, its students, and how images are prepared for them."""

    teacher: StageTeacher
    students: Sequence[StageStudent]
    inference: Augmentation


def fit_stages(
    encoder: FrozenEncoder,
    images: UInt8[Tensor, "N 3 S S"],
    params: StudentsParams,
    *,
    width: float,
    inference: Transforms,
    finished: FinishedNetworks,
    seed: int,
) -> StageEnsemble:
    """Normalise the teacher over the training images, and train the students on it.

    Args:
        encoder: the teacher's network.
        images: of training.
        params: of the students.
        width: see `StageStudent`.
        inference: transforms of images that are scored.
        finished: keeps networks of a killed run.
        seed: of the batches; initial weights come from torch's global generator.

    Raises:
        UserError: no number of the teacher's description varies.
    """
    device = encoder.mean.device
    teacher = StageTeacher(encoder).to(device)
    normalise_stages(teacher, images)
    students = [StageStudent(encoder.stages, encoder.channels, width=width).to(device) for _ in range(params.count)]
    students = [student.to(memory_format=torch.channels_last) for student in students]
    train_stage_students(students, teacher, images, params, finished=finished, seed=seed)
    settled = [student.eval().requires_grad_(False) for student in students]
    return StageEnsemble(teacher, settled, Augmentation(inference))


def normalise_stages(teacher: StageTeacher, images: UInt8[Tensor, "N 3 S S"]) -> None:
    """Give each channel of each stage mean 0 and variance 1 over all cells of all training images, in place.

        T^ = (T - mu) / sigma

    As `normalise_teacher`: Bergmann et al., CVPR 2020, section 3.2; one of almost no variance becomes 0.

    Raises:
        UserError: no channel of a stage varies.
    """
    stages = teacher.encoder.stages
    statistics = [RunningStatistics.empty(count) for count in teacher.encoder.channels]
    for image in progress(images, total=len(images), label="descriptor statistics"):
        for own, values in zip(statistics, teacher.raw(image[None], kept=True), strict=True):
            own.add(values)
    for stage, own in zip(stages, statistics, strict=True):
        mean, factor = descriptor_scale(own)
        getattr(teacher, f"mean_{stage}").copy_(mean)
        getattr(teacher, f"factor_{stage}").copy_(factor)


def train_stage_students(
    students: Sequence[StageStudent],
    teacher: StageTeacher,
    images: UInt8[Tensor, "N 3 S S"],
    params: StudentsParams,
    *,
    finished: FinishedNetworks,
    seed: int,
) -> None:
    """Train students of stages, see `train_together`.

    Args:
        students: untrained.
        teacher: normalised.
        images: of training.
        params: of the students.
        finished: keeps networks of a killed run.
        seed: of the batches.
    """
    augment, device = Augmentation(params.augmentation), teacher.encoder.mean.device

    def terms_of(batch: Batch) -> Terms:
        views = augment.vary(images[batch.rows], batch.seeds)
        targets = teacher(views, kept=augment.random is None)
        return stage_terms(students, targets, augment.normalise(views).to(device))

    described = Described(
        "the backbone", "students of the backbone", list(teacher.buffers()),
        {"network": students[0].arguments, "backbone": teacher.encoder.name},
    )  # fmt: skip
    together = nn.ModuleList(students).train()
    train_together(together, terms_of, images, params, teacher=described, finished=finished, seed=seed)


def stage_terms(students: Sequence[StageStudent], targets: StageMaps, images: Float[Tensor, "B 3 S S"]) -> Terms:
    """Compute the loss of each student on a batch: the sum over stages of the mean over cells of ||S - T^||²."""
    return {
        name_of(number): torch.stack(
            [imitation_loss(own, target) for own, target in zip(student(images), targets, strict=True)]
        ).sum()
        for number, student in enumerate(students)
    }


def map_stages(ensemble: StageEnsemble, image: UInt8[Tensor, "1 3 S S"], *, stride: int) -> dict[str, RawMaps]:
    """Do as `map_features`, with features from the encoder."""
    return map_features(ensemble, image, ensemble.teacher.raw(image, kept=True), stride=stride)


@torch.no_grad()
def map_features(
    ensemble: StageEnsemble, image: UInt8[Tensor, "1 3 S S"], features: Sequence[Tensor], *, stride: int
) -> dict[str, RawMaps]:
    """Compute e and v of one image at each stage by itself, on the CPU, enlarged to `stride` (bilinear).

    Scales of different window are put together only after they were standardised, as published for patch sizes.

    Args:
        ensemble: trained.
        image: 8-bit RGB.
        features: of the teacher's encoder.
        stride: pixels between neighbouring cells of the maps.

    Returns:
        By `stage_name`.
    """
    device = ensemble.teacher.encoder.mean.device
    seen = ensemble.inference.normalise(image).to(device)
    imitated = [student(seen) for student in ensemble.students]
    cells = (-(-image.shape[-2] // stride), -(-image.shape[-1] // stride))
    maps = {}
    for name, target, *own in zip(ensemble.teacher.dims, ensemble.teacher.scaled(features), *imitated, strict=True):
        found = raw_maps(torch.stack(own), target)
        large = [
            F.interpolate(values[:, None], cells, mode="bilinear")[:, 0].cpu()
            for values in (found.error, found.variance)
        ]
        maps[name] = RawMaps(*large)
    return maps
