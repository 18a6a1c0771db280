"""One row for each component instance of all images: where it is, how large, what shape and colour."""

from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt16

CHUNK = 32  # images measured at once; bounds the memory for their pixels to about 200 MB at 256 px


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

    image: Int64[np.ndarray, " M"]
    number: Int64[np.ndarray, " M"]
    area: Float64[np.ndarray, " M"]
    centre: Float64[np.ndarray, "M 2"]
    axes: Float64[np.ndarray, "M 2"]
    lab: Float64[np.ndarray, "M 3"]


def measure_instances(maps: UInt16[np.ndarray, "N H W"], images: UInt8[np.ndarray, "N H W 3"]) -> InstanceTable:
    """Measure every instance by sums over its pixels, many images at once.

    The second moments are those of unit squares around the pixel centres (hence 1/12), so that one pixel is 1.15 wide:

        C = mean{(p - c)(p - c)ᵀ} + I/12,    axes = 4 √eig(C)
    """
    parts = [
        measure_chunk(start, maps[start : start + CHUNK], images[start : start + CHUNK])
        for start in range(0, max(len(maps), 1), CHUNK)
    ]
    columns = (np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(InstanceTable))
    return InstanceTable(*columns)


def measure_chunk(start: int, maps: UInt16[np.ndarray, "n H W"], images: UInt8[np.ndarray, "n H W 3"]) -> InstanceTable:
    """Measure the instances of some images, the first of which is row `start` of the stack."""
    image, y, x = np.nonzero(maps)
    highest = int(maps.max(initial=0)) + 1
    present, row = np.unique(image * highest + maps[image, y, x], return_inverse=True)
    area = np.bincount(row, minlength=len(present)).astype(np.float64)

    def mean(value: np.ndarray) -> Float64[np.ndarray, " M"]:
        return np.bincount(row, weights=value, minlength=len(present)) / area

    centre = np.stack([mean(x), mean(y)], axis=1)
    across, down = x - centre[row, 0], y - centre[row, 1]
    xx, yy, xy = mean(across**2) + 1 / 12, mean(down**2) + 1 / 12, mean(across * down)
    half, spread = (xx + yy) / 2, np.sqrt(np.square(xx - yy) / 4 + xy**2)
    eigenvalues = np.stack([half + spread, np.maximum(half - spread, 0)], axis=1)
    lab = np.stack([mean(channel) for channel in lab_of_pixels(images[image, y, x]).T], axis=1)
    return InstanceTable(start + present // highest, present % highest, area, centre, 4 * np.sqrt(eigenvalues), lab)


def lab_of_pixels(pixels: UInt8[np.ndarray, "P 3"]) -> Float64[np.ndarray, "P 3"]:
    """CIE Lab of RGB pixels."""
    if not len(pixels):
        return np.zeros((0, 3))
    lab: np.ndarray = cv2.cvtColor(pixels[None].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return np.asarray(lab[0], dtype=np.float64)
