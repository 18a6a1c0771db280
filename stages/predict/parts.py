"""Load the trained parts of a category, and refuse parts that do not belong together."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from stages.core.artifacts.calibration import Calibration, read_calibration
from stages.core.artifacts.histogram_models import read_histogram_models
from stages.core.artifacts.weights import read_weights
from stages.core.fusion import Fusion, fusion_from_json
from stages.core.networks.segmentor import Segmentor
from stages.core.patch_histogram import HistogramModel
from stages.core.running.errors import UserError
from stages.core.student_teacher import StudentTeacher, rebuild
from stages.predict.shared_encoder import SharedEncoder

STUDENT_TEACHER = "student_teacher"  # the branch's only column


@dataclass(frozen=True)
class HistogramBranch:
    """Segments an image and judges the areas; only the models that have weight."""

    segmentor: Segmentor
    models: tuple[HistogramModel, ...]


@dataclass(frozen=True)
class Parts:
    """All that turns an image into a verdict.

    Attributes:
        image_size: pixels of the square that the networks see.
        histogram: None where the pipeline left that branch out.
    """

    encoder: SharedEncoder
    image_size: int
    histogram: HistogramBranch | None
    student_teacher: StudentTeacher
    fusion: Fusion
    calibration: Calibration


def load_parts(files: Mapping[str, Path], *, device: torch.device) -> Parts:
    """Load the parts from the paths of `part_files`.

    Raises:
        UserError: a part is damaged, or does not fit the code or the others.
    """
    fusion, calibration = read_fusion(files["fusion"]), read_calibration(files["calibration"])
    state, arguments = read_weights(files["student_teacher"])
    with blamed_on(files["student_teacher"]):
        name, image_size = arguments["encoder"], arguments["image_size"]
        student_teacher = rebuild(state, arguments["module"])
    used = [branch for branch in fusion.branches if branch.used]
    columns = {column.name for branch in used for column in branch.columns if column.weight > 0}
    histogram = None
    if columns - {STUDENT_TEACHER}:
        wanted = {"encoder": name, "image_size": image_size}
        histogram = read_histogram_branch(files, columns - {STUDENT_TEACHER}, wanted)
        lay_out_as_trained(histogram.segmentor.to(device))
    lay_out_as_trained(student_teacher.local_student)
    lay_out_as_trained(student_teacher.global_student)
    encoder = SharedEncoder(name).to(device)
    return Parts(encoder, image_size, histogram, student_teacher.to(device), fusion, calibration)


def read_fusion(path: Path) -> Fusion:
    """Read what the normalization room fitted.

    Raises:
        UserError: the file is damaged.
    """
    with blamed_on(path):
        return fusion_from_json(json.loads(path.read_text(encoding="utf-8")))


def read_histogram_branch(
    files: Mapping[str, Path], columns: set[str], wanted: Mapping[str, object]
) -> HistogramBranch:
    """Read the histogram branch.

    Args:
        columns: names of the histogram columns that the fusion needs.
        wanted: encoder and image size of the other branch.

    Raises:
        UserError: a file is damaged, or the parts are not of the same run.
    """
    state, arguments = read_weights(files["segmentation"])
    models = tuple(model for model in read_histogram_models(files["histogram"]) if model.column in columns)
    with blamed_on(files["segmentation"]):
        segmentor = Segmentor(**arguments["module"])
        segmentor.load_state_dict(state, strict=True)
        num_classes = segmentor.arguments["num_classes"]
        if any(arguments[key] != value for key, value in wanted.items()):
            raise ValueError(f"made with {arguments['encoder']} at {arguments['image_size']} px, not with {wanted}")
    with blamed_on(files["histogram"]):
        if {model.column for model in models} != columns:
            raise ValueError(f"the fusion needs {', '.join(sorted(columns))}")
        if any(model.num_classes != num_classes for model in models):
            raise ValueError(f"the segmentation has {num_classes} classes, the histograms another number")
    return HistogramBranch(segmentor.eval().requires_grad_(False), models)


def lay_out_as_trained(network: nn.Module) -> None:
    """Lay the weights out in memory as training did, in place: another layout may give other last digits."""
    network.to(memory_format=torch.channels_last)


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file's content into a UserError."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: is damaged or not of the same run as the rest ({problem}): run `dvc repro`") from None
