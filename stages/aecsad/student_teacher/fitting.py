"""Fit the student-teacher branch on one product's normal images."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import UInt8
from torch import Tensor

from stages.aecsad.model.label_maps import PastedImages
from stages.aecsad.model.networks import INPUT_SIZE
from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.student_teacher.data import Views, find_penalty_images, fit_teacher
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.aecsad.student_teacher.training import train_students
from stages.core.encoder.device import cpu_threads, pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder, load_stack
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """The trained module, its encoder, and what rebuilds both.

    Attributes:
        curve: the course of the loss.
    """

    module: StudentTeacher
    encoder: FrozenEncoder
    image_size: int
    curve: pd.DataFrame

    @property
    def arguments(self) -> dict[str, Any]:
        """Plain JSON values for the weights file."""
        return {"encoder": self.encoder.name, "image_size": self.image_size, "module": self.module.arguments}


def fit_student_teacher(
    images: pd.DataFrame,
    folder: Path,
    params: StudentTeacherParams,
    encoder_params: EncoderParams,
    *,
    seed: int,
    pasted: PastedImages | None = None,
) -> Fitted:
    """Train on the images of split "train"; the rest is not opened.

    Args:
        pasted: images with pasted components, for `training.global_images.kind: pasted`.

    Raises:
        UserError: the encoder's weights are missing, a teacher channel is constant, the images are not of the global
            student's size, or there are no pasted or natural images though params.yaml asks for them.
    """
    check_size(encoder_params.image_size)
    penalty_files = find_penalty_images(params.training.penalty_images)
    copies = pasted_to_learn(pasted, params.training.global_images.kind, size=encoder_params.image_size)
    generator = seed_everything(seed)
    device = pick_device()
    encoder = FrozenEncoder(encoder_params.network).to(device)
    module = StudentTeacher(
        channels=encoder.channels,
        dim=params.teacher.dim,
        map_size=params.teacher.map_size,
        local_student=params.local_student.model_dump(),
        global_student=params.global_student.model_dump(),
        maps=params.maps.names,
        distance=params.maps.distance,
        score_size=params.maps.score_size,
        pooled_cells=params.maps.pooled_cells,
    ).to(device)
    stack = load_stack(folder, images.loc[images["split"] == "train", "file"], size=encoder_params.image_size)
    with cpu_threads(params.cpu_threads):
        targets, stems = fit_teacher(
            module.teacher, encoder, stack,
            projection=params.teacher.projection, stage_weights=params.teacher.stage_weights,
            keep_stems=module.local_student.reads == "stem",
        )  # fmt: skip
        views = Views(module, encoder, stack, targets, stems)
        curve = train_students(
            module, views, params.training, pasted=copies, penalty_files=penalty_files, generator=generator
        )
    return Fitted(module.eval().requires_grad_(False), encoder, encoder_params.image_size, curve)


def check_size(image_size: int) -> None:
    """Check that the size is the one that the global student's layers are laid out for.

    Raises:
        UserError: it is another.
    """
    if image_size != INPUT_SIZE:
        raise UserError(f"profile: encoder.image_size is {image_size}, the global student needs {INPUT_SIZE}")


def pasted_to_learn(pasted: PastedImages | None, kind: str, *, size: int) -> UInt8[Tensor, "P 3 s s"] | None:
    """Return the pasted images where the global student trains on them, else None.

    Raises:
        UserError: there are none, or they are of another size.
    """
    if kind != "pasted":
        return None
    if pasted is None or not len(pasted.images):
        raise UserError(
            "student_teacher.training.global_images.kind is pasted, but the cluster stage pasted no image: set "
            "cluster.pasted_components.copies to 1 or more, or the kind to plain (without component classes, nothing "
            "can be pasted)"
        )
    side = pasted.images.shape[1]
    if side != size:
        raise UserError(f"the pasted images are of {side} px, encoder.image_size is {size}: run `dvc repro`")
    return torch.from_numpy(pasted.images).permute(0, 3, 1, 2).contiguous()
