"""What is measured of each image: brightness, sharpness, a thumbnail and a hash of its look."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

THUMBNAIL, SIDE, KEPT = 64, 32, 8  # pixels, pixels, frequencies


@dataclass(frozen=True)
class Look:
    """Of one image.

    Attributes:
        brightness: mean grey value, 0 to 255.
        sharpness: variance of the Laplacian of the grey values at 256 px; low when blurred.
        thumbnail: grey values.
        bits: perceptual hash (pHash): signs of low frequencies against their median.
    """

    brightness: float
    sharpness: float
    thumbnail: Float32[np.ndarray, "64 64"]
    bits: Bool[np.ndarray, " 64"]


def look_at(image: UInt8[np.ndarray, "H W 3"]) -> Look:
    """Measure an image.

    The hash is that of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010: the lowest
    8 x 8 frequencies of the cosine transform of 32 x 32 grey values.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    common = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:KEPT, :KEPT].ravel()
    return Look(
        float(grey.mean()),
        float(cv2.Laplacian(common.astype(np.float32), cv2.CV_32F).var()),
        cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32),
        np.asarray(low > np.median(low[1:])),
    )
