"""Train both students on the teacher's outputs."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from stages.aecsad.student_teacher.draws import Draw, draw_iterations
from stages.aecsad.student_teacher.losses import hard_feature_loss, penalty_loss
from stages.aecsad.student_teacher.params import TrainingParams
from stages.aecsad.student_teacher.penalty import load_penalty_image, total_bytes
from stages.aecsad.student_teacher.views import View, Views
from stages.core.device import mixed_precision
from stages.core.student_teacher import StudentTeacher
from stages.core.training.checkpoints import checkpoint_file
from stages.core.training.optimisation import Terms, optimise


def train_students(
    module: StudentTeacher,
    views: Views,
    params: TrainingParams,
    *,
    pasted: UInt8[Tensor, "P 3 S S"] | None,
    penalty_files: Sequence[Path],
    generator: torch.Generator,
) -> pd.DataFrame:
    """Train the students in place; the last iteration's weights stay, none is chosen by any score.

        L = L_hard(T(x), S_T(x)) + mean S_T(p)² + mean (T(x') - G(x'))² + mean (G(x') - S_G(x'))²

    AeCSAD thesis 4.13-4.16 with the hard mining of CSAD's code; no gradient is stopped between the students. x' is x
    itself or an augmented image, p a natural image; without natural images that term is missing.

    Args:
        pasted: what the global student trains on where `global_images.kind` is "pasted", else None.
        penalty_files: natural images; none: no penalty.

    Returns:
        How the terms ran, see `stages.core.training.training_curve.TrainingCurve.table`.
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
    """The terms that need the training images; one pass of the local student where both students see the same."""
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
    """What the global student sees, None where it is the training images themselves."""
    if pasted is not None and draw.pasted is not None:
        return views.other(pasted[draw.pasted])
    if draw.colours:
        changed = [change(views.images[row]) for row, change in zip(draw.rows, draw.colours, strict=True)]
        return views.other(torch.stack(changed))
    return None


def imitate(module: StudentTeacher, local_inputs: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D M M"]:
    """The teacher's features as the local student has them."""
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
    """The three terms of the loss by name; each has weight 1.

    Args:
        teacher, student: of the training images.
        teacher_of_global, predicted, student_of_global: of the global student's images.
    """
    return {
        "hard": hard_feature_loss(teacher, student, quantile=hard_quantile),
        "global": F.mse_loss(predicted, teacher_of_global),
        "global_local": F.mse_loss(student_of_global, predicted),
    }
