"""What is measured of each image: brightness, sharpness, and what tells near-duplicates."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from stages.core.likeness import Likeness, likeness_of


@dataclass(frozen=True)
class Look:
    """Of one image.

    Attributes:
        brightness: mean grey value, 0 to 255.
        sharpness: variance of the Laplacian of the grey values at 256 px; low when blurred.
    """

    brightness: float
    sharpness: float
    likeness: Likeness


def look_at(image: UInt8[np.ndarray, "H W 3"]) -> Look:
    """Measure an image."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    common = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA)
    sharpness = float(cv2.Laplacian(common.astype(np.float32), cv2.CV_32F).var())
    return Look(float(grey.mean()), sharpness, likeness_of(grey))
