"""A category's trained parts: find them, load them, refuse those that do not belong together, score one image.

Scoring uses the pipeline's own functions, so that the same file gets the same score to the last bit. That holds on the
machine of the training and with as many cores: torch divides sums by the number of threads, which shifts the last
digits of a score.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from commands.predict.parts import check_one_run
from stages.aecsad.model.fusion import Fusion, fusion_from_json
from stages.aecsad.model.patch_histogram import HistogramModel, histogram_distances, read_histogram_models
from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.model.student_teacher import StudentTeacher, rebuild
from stages.core.encoder.encoder import FrozenEncoder, stack_images, to_float
from stages.core.images.reading import Window
from stages.core.io.calibration import Calibration, read_calibration
from stages.core.io.weights import read_weights
from stages.core.run.errors import UserError

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
        grey_range: what images of more than 8 bits are spread over; None where the training images had 8.
        histogram: None where the pipeline excluded that branch.
        fingerprints: sha256 of each part.
    """

    encoder: FrozenEncoder
    image_size: int
    grey_range: Window | None
    histogram: HistogramBranch | None
    student_teacher: StudentTeacher
    fusion: Fusion
    calibration: Calibration
    fingerprints: Mapping[str, str]


def load_parts(files: Mapping[str, Path], *, device: torch.device) -> Parts:
    """Load the parts from the paths of `part_files`.

    Raises:
        UserError: a part is damaged, of another run than the others, or was replaced meanwhile.
    """
    fingerprints = check_one_run(files)
    fusion, calibration = read_fusion(files["fusion"]), read_calibration(files["calibration"])
    state, arguments = read_weights(files["student_teacher"])
    with blamed_on(files["student_teacher"]):
        name, image_size = arguments["encoder"], arguments["image_size"]
        grey_range = None if arguments["grey_range"] is None else Window(**arguments["grey_range"])
        student_teacher = rebuild(state, arguments["module"])
    columns = set(fusion.normal)
    histogram = None
    if columns - {STUDENT_TEACHER}:
        wanted = {"encoder": name, "image_size": image_size}
        histogram = read_histogram_branch(files, columns - {STUDENT_TEACHER}, wanted)
        lay_out_as_trained(histogram.segmentor.to(device))
    lay_out_as_trained(student_teacher.local_student)
    lay_out_as_trained(student_teacher.global_student)
    encoder = FrozenEncoder(name).to(device)
    if check_one_run(files) != fingerprints:
        raise UserError("a retraining replaced the trained parts while they were read: start again when it has ended")
    return Parts(
        encoder, image_size, grey_range, histogram, student_teacher.to(device), fusion, calibration, fingerprints
    )


def read_fusion(path: Path) -> Fusion:
    """Read what the stage score_fusion fitted.

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
        files: of `part_files`.
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
    """Lay the weights out in memory as training did, in place: another layout may change the last digits."""
    network.to(memory_format=torch.channels_last)


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file's content into a UserError."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: is damaged or not of the same run as the rest ({problem}): run `dvc repro`") from None


@dataclass(frozen=True)
class Prediction:
    """What the parts find in an image.

    Attributes:
        branches: score of each branch; None for one that the pipeline excluded.
        anomaly_map: in the units of the calibration's colour range; it covers the whole image.
    """

    score: float
    branches: dict[str, float | None]
    anomaly_map: Float32[np.ndarray, "h w"]


def predict(parts: Parts, picture: UInt8[np.ndarray, "H W 3"]) -> Prediction:
    """Score an image of `read_like_training` by itself, so that no score depends on other images."""
    image = to_float(stack_images([picture], size=parts.image_size)).to(parts.encoder.mean.device)
    features = parts.encoder(image)
    columns = histogram_columns(parts, features)
    anomaly_map = parts.student_teacher.combine(
        parts.student_teacher.raw_maps(parts.encoder.normalise(image), features)
    )
    columns[STUDENT_TEACHER] = float(parts.student_teacher.pool(anomaly_map))
    fused, used = parts.fusion({name: np.array([value], dtype=np.float64) for name, value in columns.items()})
    branches = {
        branch.name: float(used[branch.name][0]) if branch.name in used else None for branch in parts.fusion.branches
    }
    return Prediction(float(fused[0]), branches, anomaly_map[0].cpu().numpy())


def histogram_columns(parts: Parts, features: Sequence[Float[Tensor, "1 C h w"]]) -> dict[str, float]:
    """The histogram distances by column; empty where that branch is excluded."""
    if parts.histogram is None:
        return {}
    low, _, high = features
    label_map = parts.histogram.segmentor.label_map(low, high, size=parts.image_size).cpu().numpy()
    return {model.column: float(histogram_distances(model, label_map)[0]) for model in parts.histogram.models}
