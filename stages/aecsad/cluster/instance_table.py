"""One row for each component instance of all images: where it is, how large, what shape and colour."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt16


@dataclass(frozen=True)
class InstanceTable:
    """Measurements of M instances, ordered by image, then by number.

    Attributes:
        image, number: row in the image stack, and number in its component map (1..k).
        area: pixels.
        centre: (x, y) in pixels, x to the right, y down.
        axes: full lengths (major, minor) of the ellipse with the instance's second moments, in pixels.
        lab: mean CIE Lab, L in 0..100.
    """

    image: Int64[np.ndarray, "M"]
    number: Int64[np.ndarray, "M"]
    area: Float64[np.ndarray, "M"]
    centre: Float64[np.ndarray, "M 2"]
    axes: Float64[np.ndarray, "M 2"]
    lab: Float64[np.ndarray, "M 3"]


def measure_instances(maps: UInt16[np.ndarray, "N H W"], images: UInt8[np.ndarray, "N H W 3"]) -> InstanceTable:
    """Measure every instance by sums over its pixels, all images at once.

    The second moments are those of unit squares around the pixel centres (hence 1/12), so that one pixel is 1.15 wide:

        C = mean{(p - c)(p - c)ᵀ} + I/12,    axes = 4 √eig(C)
    """
    image, y, x = np.nonzero(maps)
    highest = int(maps.max(initial=0)) + 1
    key = image * highest + maps[image, y, x]
    present, row = np.unique(key, return_inverse=True)
    area = np.bincount(row, minlength=len(present)).astype(np.float64)

    def mean(value: np.ndarray) -> Float64[np.ndarray, "M"]:
        return np.bincount(row, weights=value, minlength=len(present)) / np.maximum(area, 1)

    centre_x, centre_y = mean(x), mean(y)
    across, down = x - centre_x[row], y - centre_y[row]
    xx, yy, xy = mean(across**2) + 1 / 12, mean(down**2) + 1 / 12, mean(across * down)
    spread = np.sqrt(np.square(xx - yy) / 4 + xy**2)
    eigenvalues = np.stack([(xx + yy) / 2 + spread, (xx + yy) / 2 - spread], axis=1)
    lab = lab_of_pixels(images[image, y, x])
    return InstanceTable(
        image=present // highest,
        number=present % highest,
        area=area,
        centre=np.stack([centre_x, centre_y], axis=1),
        axes=4 * np.sqrt(np.maximum(eigenvalues, 0)),
        lab=np.stack([mean(channel) for channel in lab.T], axis=1),
    )


def lab_of_pixels(pixels: UInt8[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 3"]:
    """CIE Lab of RGB pixels."""
    if not len(pixels):
        return np.zeros((0, 3))
    lab = cv2.cvtColor(np.float32(pixels[None]) / np.float32(255), cv2.COLOR_RGB2LAB)
    return lab[0].astype(np.float64)
