"""Score one image with the pipeline's own functions, so that the same file gets the same score to the last bit.

That holds on the machine of the training and with as many cores: torch divides sums by the number of threads, which
shifts the last digits of a score.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from stages.core.frozen_encoder.image_tensors import stack_images, to_float
from stages.core.patch_histogram import histogram_distances
from stages.predict.parts import STUDENT_TEACHER, Parts


@dataclass(frozen=True)
class Prediction:
    """What the parts say about an image.

    Attributes:
        branches: score of each branch; None for one that the pipeline left out.
        anomaly_map: in the units of the calibration's colour range; it covers the whole image.
    """

    score: float
    branches: dict[str, float | None]
    anomaly_map: Float32[np.ndarray, "h w"]


def predict(parts: Parts, picture: UInt8[np.ndarray, "H W 3"]) -> Prediction:
    """Score an image of `read_image`, alone, so that no score depends on its neighbours."""
    image = to_float(stack_images([picture], size=parts.image_size)).to(parts.encoder.mean.device)
    columns = histogram_columns(parts, image)
    anomaly_map = parts.student_teacher.combine(parts.student_teacher.raw_maps(image, parts.encoder))
    columns[STUDENT_TEACHER] = float(parts.student_teacher.pool(anomaly_map))
    fused, used = parts.fusion({name: np.array([value], dtype=np.float64) for name, value in columns.items()})
    branches = {
        branch.name: float(used[branch.name][0]) if branch.name in used else None for branch in parts.fusion.branches
    }
    return Prediction(float(fused[0]), branches, anomaly_map[0].cpu().numpy())


def histogram_columns(parts: Parts, image: Float[Tensor, "1 3 S S"]) -> dict[str, float]:
    """The histogram distances by column; empty where that branch is left out."""
    if parts.histogram is None:
        return {}
    label_map = parts.histogram.segmentor.label_map(image, parts.encoder).cpu().numpy()
    return {model.column: float(histogram_distances(model, label_map)[0]) for model in parts.histogram.models}
