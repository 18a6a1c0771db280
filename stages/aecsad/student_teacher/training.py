"""Train both students on the teacher's outputs: the draws of each iteration, the losses, and the training itself.

Everything random in an iteration is drawn before it, so that a resumed training draws the same.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.student_teacher.data import GREY_SHARE, View, Views, load_penalty_image, total_bytes
from stages.aecsad.student_teacher.params import TrainingParams
from stages.core.encoder.device import mixed_precision
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.optimisation import Terms, optimise

BLOCK = 32  # values, of which the largest is compared first
COLOUR_CHANGES = ("adjust_brightness", "adjust_contrast", "adjust_saturation")  # of torchvision


@dataclass(frozen=True)
class ColourChange:
    """One of brightness, contrast and saturation, multiplied by a factor; 1 changes nothing."""

    kind: int
    factor: float

    def __call__(self, image: UInt8[Tensor, "3 S S"]) -> UInt8[Tensor, "3 S S"]:
        """Change one image."""
        from torchvision.transforms.v2 import functional  # takes a second, and the default changes no colour

        changed: Tensor = getattr(functional, COLOUR_CHANGES[self.kind])(image, self.factor)
        return changed


@dataclass(frozen=True)
class PenaltyDraw:
    """Row of a natural image, and whether it turns grey."""

    row: int
    grey: bool


@dataclass(frozen=True)
class Draw:
    """What one iteration works on.

    Attributes:
        rows: of the training images.
        colours: a change for each of `rows`, for the global student; empty without that augmentation.
        pasted: rows of the pasted images that the global student sees instead; None without that augmentation.
        penalty: None without natural images.
    """

    rows: Int64[Tensor, " B"]
    colours: tuple[ColourChange, ...] = ()
    pasted: Int64[Tensor, " B"] | None = None
    penalty: PenaltyDraw | None = None


def draw_iterations(
    count: int,
    batch_size: int,
    generator: torch.Generator,
    *,
    global_images: Literal["plain", "colour", "pasted"],
    colour_strength: float,
    pasted: int,
    penalty: int,
) -> Iterator[Draw]:
    """Yield endless draws; nothing is drawn for what is switched off.

    Args:
        count: number of training images.
        pasted: number of pasted images.
        penalty: number of natural images, 0 without a penalty.
    """
    for rows in draw_batches(count, batch_size, generator):
        colours: tuple[ColourChange, ...] = ()
        chosen = None
        if global_images == "colour":
            colours = tuple(draw_colour(colour_strength, generator) for _ in rows)
        if global_images == "pasted":
            chosen = torch.randint(pasted, (len(rows),), generator=generator)
        yield Draw(rows, colours, chosen, draw_penalty(penalty, generator) if penalty else None)


def draw_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield row numbers of endless batches: every epoch a new order, its short rest excluded.

    With fewer images than `batch_size` every batch holds all of them.
    """
    size = min(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (order[start : start + size] for start in range(0, count - size + 1, size))


def draw_colour(strength: float, generator: torch.Generator) -> ColourChange:
    """Draw one of three changes, CSAD's augmentation of the autoencoder's image.

    The code changes the image before it is resized; but for rounding, the order makes no difference.
    """
    kind = int(torch.randint(len(COLOUR_CHANGES), (1,), generator=generator))
    return ColourChange(kind, 1 + strength * (2 * float(torch.rand(1, generator=generator)) - 1))


def draw_penalty(count: int, generator: torch.Generator) -> PenaltyDraw:
    """Draw any of `count` natural images, grey in 3 of 10 draws."""
    row = int(torch.randint(count, (1,), generator=generator))
    return PenaltyDraw(row, bool(torch.rand(1, generator=generator) < GREY_SHARE))


def hard_feature_loss(
    teacher: Float[Tensor, "B C H W"], student: Float[Tensor, "B C H W"], *, quantile: float
) -> Float[Tensor, ""]:
    """Return the mean squared feature distance over the hardest elements only.

        D = (T - S)²,    L_hard = mean{ d in D : d >= Q_q(D) }

    Batzner et al., "EfficientAD", WACV 2024, section 3.2; q is their p_hard. Q is the linearly interpolated
    quantile over the whole batch, found by `topk` instead of a full sort.

    Args:
        teacher: T, standardised per channel over the training set, detached.
        quantile: q in [0, 1); 0 returns the plain mean squared error.

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
    largest = largest_values(distances, distances.numel() - lower)
    at_lower = largest[-1]
    at_upper = largest[-2] if len(largest) > 1 else at_lower
    threshold = torch.lerp(at_lower, at_upper, position - lower)
    return largest[largest >= threshold].mean()


def largest_values(values: Float[Tensor, " N"], count: int) -> Float[Tensor, " count"]:
    """Return the `count` largest values, sorted, as `topk` does, of which only few are looked through.

    `count` blocks of values hold one each that is as large as the smallest of these blocks' maxima, so nothing below
    that is among the largest.
    """
    known = values.detach()
    whole = known[: len(known) // BLOCK * BLOCK].view(-1, BLOCK).amax(dim=1)
    if len(whole) > count:
        bound = whole.topk(count).values[-1]
        values = values[~(known < bound)]  # a value that is no number stays, too
    return values.topk(count, sorted=True).values


def penalty_loss(student: Float[Tensor, "B C H W"]) -> Float[Tensor, ""]:
    """Return mean S_T(p)²: the head that imitates the teacher should be 0 on natural images p (CSAD's code)."""
    return (student**2).mean()


def train_students(
    module: StudentTeacher,
    views: Views,
    params: TrainingParams,
    *,
    pasted: UInt8[Tensor, "P 3 S S"] | None,
    penalty_files: Sequence[Path],
    generator: torch.Generator,
) -> pd.DataFrame:
    """Train the students in place; the last iteration's weights are kept, none is chosen by any score.

        L = L_hard(T(x), S_T(x)) + mean S_T(p)² + mean (T(x') - G(x'))² + mean (G(x') - S_G(x'))²

    AeCSAD thesis 4.13-4.16 with the hard mining of CSAD's code; no gradient is stopped between the students. x' is x
    itself or an augmented image, p a natural image; without natural images that term is missing.

    Args:
        pasted: what the global student trains on where `global_images.kind` is "pasted", else None.
        penalty_files: natural images; none: no penalty.

    Returns:
        The course of the terms, see `stages.core.training.curve.TrainingCurve.table`.
    """
    students = torch.nn.ModuleList([module.local_student, module.global_student]).to(memory_format=torch.channels_last)
    settings = {**params.model_dump(), "seed": generator.initial_seed()}
    if penalty_files:
        settings["penalty"] = [len(penalty_files), total_bytes(penalty_files)]
    tensors = [*students.state_dict().values(), views.images, views.targets, views.stems, pasted]
    checkpoint = checkpoint_file("students", tensors=tensors, settings=settings)
    draws = draw_iterations(
        len(views.images), params.batch_size, generator,
        global_images=params.global_images.kind, colour_strength=params.global_images.colour_strength,
        pasted=0 if pasted is None else len(pasted), penalty=len(penalty_files),
    )  # fmt: skip

    def terms_of(draw: Draw) -> Terms:
        terms = imitation_terms(module, views, draw, pasted, hard_quantile=params.hard_quantile)
        if draw.penalty is not None:
            image = load_penalty_image(
                penalty_files[draw.penalty.row], size=views.images.shape[-1], grey=draw.penalty.grey
            )
            terms["penalty"] = penalty_loss(imitate(module, views.local_inputs(image)))
        return terms

    students.train()
    curve = optimise(
        students, draws, terms_of, weights=dict.fromkeys(("hard", "penalty", "global", "global_local"), 1.0),
        iterations=params.iterations, optimizer=params.optimizer, schedule=params.schedule,
        learning_rate=params.learning_rate, weight_decay=params.weight_decay, label="students", checkpoint=checkpoint,
    )  # fmt: skip
    students.eval()
    return curve


def imitation_terms(
    module: StudentTeacher, views: Views, draw: Draw, pasted: UInt8[Tensor, "P 3 S S"] | None, *, hard_quantile: float
) -> Terms:
    """Return the terms of the training images; one pass of the local student where both students see the same."""
    view, augmented, local = views.training(draw.rows), augmented_view(views, draw, pasted), module.local_student
    with mixed_precision(view.inputs.device):
        shared = local(view.local_inputs)
        student = local.teacher_head(shared).float()
        if augmented is not None:
            shared = local(augmented.local_inputs)
        student_of_global = local.global_head(shared).float()
        predicted = module.global_student((augmented or view).inputs).float()
    return loss_terms(
        view.teacher, student, (augmented or view).teacher, predicted, student_of_global, hard_quantile=hard_quantile
    )


def augmented_view(views: Views, draw: Draw, pasted: UInt8[Tensor, "P 3 S S"] | None) -> View | None:
    """Return what the global student sees, None where it is the training images themselves."""
    if pasted is not None and draw.pasted is not None:
        return views.other(pasted[draw.pasted])
    if draw.colours:
        changed = [change(views.images[row]) for row, change in zip(draw.rows, draw.colours, strict=True)]
        return views.other(torch.stack(changed))
    return None


def imitate(module: StudentTeacher, local_inputs: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D M M"]:
    """Return the local student's imitation of the teacher's features."""
    with mixed_precision(local_inputs.device):
        imitation: Tensor = module.local_student.teacher_head(module.local_student(local_inputs)).float()
    return imitation


def loss_terms(
    teacher: Float[Tensor, "B D M M"],
    student: Float[Tensor, "B D M M"],
    teacher_of_global: Float[Tensor, "B D M M"],
    predicted: Float[Tensor, "B D M M"],
    student_of_global: Float[Tensor, "B D M M"],
    *,
    hard_quantile: float,
) -> Terms:
    """Return the three terms of the loss by name; each has weight 1.

    Args:
        teacher, student: of the training images.
        teacher_of_global, predicted, student_of_global: of the global student's images.
    """
    return {
        "hard": hard_feature_loss(teacher, student, quantile=hard_quantile),
        "global": F.mse_loss(predicted, teacher_of_global),
        "global_local": F.mse_loss(student_of_global, predicted),
    }
