"""Train the students, all at once, to imitate the teacher on normal images."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from stages.core.training.optimisation import Terms, optimise
from stages.uninformed_students.augmentation import Augmentation
from stages.uninformed_students.params import StudentsParams
from stages.uninformed_students.patch_network import PatchNetwork
from stages.uninformed_students.training import (
    Batch,
    FinishedNetworks,
    draw_batches,
    imitation_loss,
    number_of_iterations,
)


def train_students(
    students: Sequence[PatchNetwork],
    teacher: PatchNetwork,
    images: UInt8[Tensor, "N 3 S S"],
    params: StudentsParams,
    *,
    stride: int,
    tile: int,
    finished: FinishedNetworks,
    seed: int,
) -> None:
    """Train M students in place on one teacher pass an iteration; the last iteration's weights stay.

    Each student's loss is its own term of a sum, so that its gradient is what it would be alone; Adam and AdamW step
    each weight by itself, and so the result equals M trainings on the same images.

    Args:
        teacher: normalised.
        stride: see `UninformedStudentsParams`.
        tile: see `UninformedStudentsParams`.
        seed: of the batches.
    """
    augment, training = Augmentation(params.augmentation, patch_size=teacher.patch_size), params.training
    device = teacher.decode.weight.device

    def terms_of(batch: Batch) -> Terms:
        views = augment(images[batch.rows], batch.seeds).to(device)
        return imitation_terms(students, teacher, views, stride=stride, tile=tile)

    batches = draw_batches(len(images), training.batch_size, torch.Generator().manual_seed(seed))
    together = nn.ModuleList(students)
    finished.train(
        together,
        lambda checkpoint: optimise(
            together, batches, terms_of, weights={name_of(number): 1.0 for number in range(len(students))},
            iterations=number_of_iterations(training.iterations, images=len(images), batch_size=training.batch_size),
            optimizer=training.optimizer, schedule=training.schedule, learning_rate=training.learning_rate,
            weight_decay=training.weight_decay, label=f"{len(students)} students of {teacher.patch_size} px",
            checkpoint=checkpoint,
        ),
        phase=f"students, {teacher.patch_size} px", label="uninformed_students",
        tensors=[images, *teacher.state_dict().values()],
        settings={**params.model_dump(), "network": teacher.arguments, "stride": stride, "tile": tile,
                  "seed": seed},
    )  # fmt: skip


def imitation_terms(
    students: Iterable[PatchNetwork], teacher: PatchNetwork, images: Float[Tensor, "B 3 H W"], *, stride: int, tile: int
) -> Terms:
    """Compute the loss of each student on a batch: the mean over all its pixels of ||S - T^||².

    With more than one tile, a tile's layers are computed again for its gradient instead of being kept: 512 numbers
    for each of 256 x 256 pixels are 134 MB, and a student has five such maps.
    """
    pieces = list(teacher_tiles(teacher, images, stride=stride, tile=tile))
    pixels = sum(target[:, 0].numel() for _, target in pieces)
    terms: Terms = {}
    for number, student in enumerate(students):
        losses = [
            tile_loss(student, seen, target, stride=stride, recomputed=len(pieces) > 1) for seen, target in pieces
        ]
        weights = [target[:, 0].numel() / pixels for _, target in pieces]
        terms[name_of(number)] = torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum()
    return terms


@torch.no_grad()
def teacher_tiles(
    teacher: PatchNetwork, images: Float[Tensor, "B 3 H W"], *, stride: int, tile: int
) -> Iterator[tuple[Float[Tensor, "B 3 _h _w"], Float[Tensor, "B D h w"]]]:
    """Yield for each tile the part of the padded images that a network sees, and the teacher's descriptors."""
    padded = teacher.pad(images)
    for part in teacher.tiles(*images.shape[-2:], stride=stride, side=tile):
        with teacher.precision(images.device):
            target = teacher.describe_tile(padded, part, stride=stride)
        yield padded[(..., *part.seen)], target.float()


def tile_loss(
    student: PatchNetwork, seen: Tensor, target: Tensor, *, stride: int, recomputed: bool
) -> Float[Tensor, ""]:
    """Compute the loss on one tile; `recomputed` keeps no layer's output for the gradient."""
    if recomputed:
        loss: Tensor = recompute(loss_on, student, seen, target, stride, use_reentrant=False)
        return loss
    return loss_on(student, seen, target, stride)


def loss_on(student: PatchNetwork, seen: Tensor, target: Tensor, stride: int) -> Float[Tensor, ""]:
    """Average the loss over the tile's pixels."""
    height, width = target.shape[-2:]
    with student.precision(seen.device):
        described = student.on_padded(seen, stride=stride)[..., :height, :width]
    return imitation_loss(described.float(), target)


def name_of(number: int) -> str:
    """Name a student and its loss."""
    return f"student_{number + 1}"
