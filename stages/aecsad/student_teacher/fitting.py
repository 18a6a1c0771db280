"""Fit the student-teacher branch on one product's normal images."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.targets import fit_teacher
from stages.aecsad.student_teacher.training import train_students
from stages.core.device import pick_device
from stages.core.image_tensors import load_stack
from stages.core.networks.encoder import FrozenEncoder
from stages.core.params import EncoderParams
from stages.core.seeding import seed_everything
from stages.core.student_teacher import StudentTeacher

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """The trained module, its encoder, and what rebuilds both."""

    module: StudentTeacher
    encoder: FrozenEncoder
    image_size: int

    @property
    def arguments(self) -> dict[str, Any]:
        """Plain JSON values for the weights file."""
        return {"encoder": self.encoder.name, "image_size": self.image_size, "module": self.module.arguments}


def fit_student_teacher(
    images: pd.DataFrame, folder: Path, params: StudentTeacherParams, encoder_params: EncoderParams, *, seed: int
) -> Fitted:
    """Train on the images of split "train"; the rest is not opened.

    Raises:
        UserError: the encoder's weights are missing, or a teacher channel is constant.
    """
    generator = seed_everything(seed)
    device = pick_device()
    encoder = FrozenEncoder(encoder_params.name).to(device)
    module = StudentTeacher(
        channels=encoder.channels,
        dim=params.teacher.dim,
        map_size=params.teacher.map_size,
        local_student=params.local_student.model_dump(),
        global_student=params.global_student.model_dump(),
        maps=params.maps.names,
        pooled_cells=params.maps.pooled_cells,
    ).to(device)
    stack = load_stack(folder, images.loc[images["split"] == "train", "file"], size=encoder_params.image_size)
    targets, stems = fit_teacher(
        module.teacher, encoder, stack,
        projection=params.teacher.projection, stage_weights=params.teacher.stage_weights,
        keep_stems=module.local_student.reads == "stem",
    )  # fmt: skip
    train_students(module, encoder, stack, targets, stems, params.training, generator=generator)
    return Fitted(module.eval().requires_grad_(False), encoder, encoder_params.image_size)
