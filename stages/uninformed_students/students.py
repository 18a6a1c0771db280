"""Train the students, all at once, to imitate the teacher on normal images."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from stages.core.training.optimisation import Terms
from stages.uninformed_students.augmentation import Augmentation
from stages.uninformed_students.params import StudentsParams
from stages.uninformed_students.patch_network import PatchNetwork
from stages.uninformed_students.training import (
    Batch,
    Described,
    FinishedNetworks,
    imitation_loss,
    name_of,
    train_together,
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
    """Train students of the teacher's own layout, see `train_together`.

    Args:
        teacher: normalised.
        stride: see `UninformedStudentsParams`.
        tile: see `UninformedStudentsParams`.
        seed: of the batches.
    """
    augment, device = Augmentation(params.augmentation, patch_size=teacher.patch_size), teacher.decode.weight.device

    def terms_of(batch: Batch) -> Terms:
        views = augment(images[batch.rows], batch.seeds).to(device)
        return imitation_terms(students, teacher, views, stride=stride, tile=tile)

    described = Described(
        f"{teacher.patch_size} px", f"students, {teacher.patch_size} px", list(teacher.state_dict().values()),
        {"network": teacher.arguments, "stride": stride, "tile": tile},
    )  # fmt: skip
    together = nn.ModuleList(students)
    train_together(together, terms_of, images, params, teacher=described, finished=finished, seed=seed)


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
