"""Small students and teachers, and views of noisy images for them."""

from typing import Any

import torch

from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.student_teacher.data import Views, fit_teacher
from stages.core.encoder.encoder import FrozenEncoder

SMALL_LOCAL = {"network": "patch", "widths": [4, 4, 4, 4, 4], "pooling": False, "stride": 8, "batch_norm": True}
SMALL_GLOBAL = {
    "width": 8,
    "decoder_steps": [8, 15],
    "attended_steps": [15],
    "attention": True,
    "bottleneck": False,
    "batch_norm": True,
    "dropout": 0.2,
}
STEM = {"network": "stem", "width": 4}


def small_module(maps: list[str], pooled_cells: int = 1) -> StudentTeacher:
    torch.manual_seed(0)
    return StudentTeacher(
        channels=[2, 3, 5],
        dim=6,
        map_size=32,
        local_student=SMALL_LOCAL,
        global_student=SMALL_GLOBAL,
        maps=maps,
        pooled_cells=pooled_cells,
    )


def views(local: dict[str, Any]) -> tuple[Views, torch.Tensor]:
    """Four noisy training images, fitted, and two other images."""
    torch.manual_seed(0)
    encoder = FrozenEncoder("tf_efficientnet_lite0")
    module = StudentTeacher(
        channels=encoder.channels, dim=6, map_size=32, local_student=local, global_student=SMALL_GLOBAL,
        maps=["local", "global_local"], pooled_cells=1,
    )  # fmt: skip
    images = torch.randint(0, 256, (6, 3, 256, 256), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    targets, stems = fit_teacher(
        module.teacher, encoder, images[:4], projection="random", stage_weights=[1.0, 1.0],
        keep_stems=module.local_student.reads == "stem",
    )  # fmt: skip
    return Views(module, encoder, images[:4], targets, stems), images[4:]
