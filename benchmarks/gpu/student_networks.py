"""AeCSAD's teacher and students of a profile, untrained, and the images that they learn from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.inputs import draw_images, encoder_name, section_of, untrained_encoder, write_images
from benchmarks.gpu.measure import Setting
from stages.aecsad.model.student_teacher import StudentTeacher
from stages.aecsad.student_teacher.data import Views, fit_teacher
from stages.aecsad.student_teacher.params import StudentTeacherParams
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.encoder.lite0_weights import LITE0

SECTION = "aecsad.student_teacher"
TINY: dict[str, dict[str, Any]] = {
    "paper": {"teacher.dim": 8, "local_student.widths": [4, 8, 8, 8, 8], "global_student.width": 8,
              "global_student.decoder_steps": [8, 15], "global_student.attended_steps": [15]},
    "embedded": {"teacher.dim": 8, "local_student.width": 8, "global_student.width": 8, "training.batch_size": 2},
}  # fmt: skip


def params_of(setting: Setting, *, profile: str, changes: Mapping[str, Any] | None = None) -> StudentTeacherParams:
    """Read a profile's settings; narrow networks in small mode."""
    shrunk = TINY[profile] if setting.small else {}
    return section_of(StudentTeacherParams, SECTION, profile=profile, changes={**shrunk, **(changes or {})})


def module_of(channels: Sequence[int], setting: Setting, *, profile: str) -> StudentTeacher:
    """Build teacher and students on the device, as the stage does."""
    params = params_of(setting, profile=profile)
    return StudentTeacher(
        channels=channels, dim=params.teacher.dim, map_size=params.teacher.map_size,
        local_student=params.local_student.model_dump(), global_student=params.global_student.model_dump(),
        maps=params.maps.names, distance=params.maps.distance, score_size=params.maps.score_size,
        pooled_cells=params.maps.pooled_cells,
    ).to(setting.device)  # fmt: skip


class PlainViews(Views):
    """Views whose images keep PyTorch's usual memory format."""

    def __init__(self, module: StudentTeacher, encoder: FrozenEncoder, *data: Any) -> None:
        """Let the encoder normalise images without laying them out for channels_last."""
        super().__init__(module, encoder, *data)
        encoder.normalise = lambda images: (images - encoder.mean) / encoder.std  # type: ignore[method-assign]


def views_of(setting: Setting, *, profile: str, images: int, kind: type[Views] = Views) -> Views:
    """Fit a teacher on drawn images, and return what its students learn from."""
    encoder = (
        untrained_encoder(encoder_name(setting), setting)
        if profile == "paper"
        else FrozenEncoder(LITE0).to(setting.device)
    )
    module, params = module_of(encoder.channels, setting, profile=profile), params_of(setting, profile=profile)
    stack = draw_images(images)
    targets, stems = fit_teacher(
        module.teacher, encoder, stack, projection=params.teacher.projection,
        stage_weights=params.teacher.stage_weights, keep_stems=module.local_student.reads == "stem",
    )  # fmt: skip
    return kind(module, encoder, stack, targets, stems)


def natural_images(count: int) -> list[Path]:
    """Write images for the penalty, of tiny-imagenet's 64 pixels."""
    folder = Path("natural")
    table = write_images(folder, ["train"] * count, 64)
    return [folder / file for file in table["file"]]


def students_of(views: Views) -> torch.nn.ModuleList:
    """Return both students, which are all that is trained."""
    return torch.nn.ModuleList([views.module.local_student, views.module.global_student])
