"""Train both students on the teacher's outputs."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, Int64, UInt8
from torch import Tensor

from stages.aecsad.student_teacher.losses import hard_feature_loss
from stages.aecsad.student_teacher.params import TrainingParams
from stages.core.checkpoints import checkpoint_file
from stages.core.device import mixed_precision
from stages.core.image_tensors import to_float
from stages.core.networks.encoder import FrozenEncoder
from stages.core.optimisation import Terms, optimise
from stages.core.student_teacher import StudentTeacher


def train_students(
    module: StudentTeacher,
    encoder: FrozenEncoder,
    images: UInt8[Tensor, "N 3 S S"],
    targets: Float16[Tensor, "N D M M"],
    stems: Float16[Tensor, "N C h w"] | None,
    params: TrainingParams,
    *,
    generator: torch.Generator,
) -> None:
    """Train the students in place; the last iteration's weights stay, none is chosen by any score.

        L = L_hard(T, S_T) + mean (T - G)² + mean (G - S_G)²

    AeCSAD thesis 4.13-4.16 with the hard mining of CSAD's code; no gradient is stopped between the students.

    Args:
        targets: normalised teacher outputs of `images`.
        stems: encoder features of `images` at stride 4, for a local student that reads them.
    """
    device = encoder.mean.device
    students = torch.nn.ModuleList([module.local_student, module.global_student]).to(memory_format=torch.channels_last)
    settings = {**params.model_dump(), "seed": generator.initial_seed()}
    checkpoint = checkpoint_file(
        "students", tensors=[*students.state_dict().values(), images, targets, stems], settings=settings
    )

    def terms_of(batch: Int64[Tensor, " B"]) -> Terms:
        inputs = (to_float(images[batch].to(device)) - encoder.mean) / encoder.std
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with mixed_precision(device):
            shared = module.local_student(inputs if stems is None else stems[batch].to(device).float())
            student = module.local_student.teacher_head(shared).float()
            student_of_global = module.local_student.global_head(shared).float()
            predicted = module.global_student(inputs).float()
        teacher = targets[batch].to(device).float()
        return loss_terms(teacher, student, predicted, student_of_global, hard_quantile=params.hard_quantile)

    students.train()
    optimise(
        students, draw_batches(len(images), params.batch_size, generator), terms_of,
        weights=dict.fromkeys(("hard", "global", "global_local"), 1.0), iterations=params.iterations,
        learning_rate=params.learning_rate, weight_decay=params.weight_decay, label="students", checkpoint=checkpoint,
    )  # fmt: skip
    students.eval()


def loss_terms(
    teacher: Float[Tensor, "B D M M"],
    student: Float[Tensor, "B D M M"],
    predicted: Float[Tensor, "B D M M"],
    student_of_global: Float[Tensor, "B D M M"],
    *,
    hard_quantile: float,
) -> Terms:
    """The three terms of the loss by name; each has weight 1."""
    return {
        "hard": hard_feature_loss(teacher, student, quantile=hard_quantile),
        "global": F.mse_loss(predicted, teacher),
        "global_local": F.mse_loss(student_of_global, predicted),
    }


def draw_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of endless batches: every epoch a new order, its short rest left out.

    With fewer images than `batch_size` every batch holds all of them.
    """
    size = min(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (order[start : start + size] for start in range(0, count - size + 1, size))
