"""Describe each component instance by a point, such that instances of one class are close together.

`measure_instances` measures where an instance is, how large it is, its shape and its colour; what the frozen encoder
sees in it comes from `stages.aecsad.model.appearance`. `describe_instances` combines both.
"""

from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8, UInt16

CHUNK = 32  # images measured at once; bounds the memory for their pixels to about 200 MB at 256 px
TINY = 1e-12  # spread of values that are all the same


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
    """Convert RGB pixels to CIE Lab."""
    if not len(pixels):
        return np.zeros((0, 3))
    lab: np.ndarray = cv2.cvtColor(pixels[None].astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)
    return np.asarray(lab[0], dtype=np.float64)


def crop_instances(
    maps: UInt16[np.ndarray, "N H W"], images: UInt8[np.ndarray, "N H W 3"], table: InstanceTable, *, size: int
) -> UInt8[np.ndarray, "M size size 3"]:
    """Cut out each instance alone on black, in the middle, scaled so that its longest extent from the middle fits.

    The diagonal of the rectangle around the instance's ellipse becomes the crop's side, as in CSAD; scale and place
    come from the table, so that one affine warp does it all.
    """
    crops = np.zeros((len(table.image), size, size, 3), dtype=np.uint8)
    scales = size / np.hypot(table.axes[:, 0], table.axes[:, 1])
    for crop, image, number, centre, scale in zip(crops, table.image, table.number, table.centre, scales, strict=True):
        offset = (size - 1) / 2 - scale * centre
        warp = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        mask = cv2.warpAffine((maps[image] == number).astype(np.uint8), warp, (size, size), flags=cv2.INTER_NEAREST)
        colour = cv2.warpAffine(images[image], warp, (size, size), flags=cv2.INTER_LINEAR)
        crop[mask > 0] = colour[mask > 0]
    return crops


def describe_instances(
    table: InstanceTable, appearance: Float32[np.ndarray, "M C"], *, dimensions: int
) -> Float64[np.ndarray, "M D"]:
    """Join shape, colour and appearance, each with a total variance of 1.

    Shape: log area, log axes, fill ratio (area / area of the ellipse with the same second moments).
    Colour: mean Lab. Appearance: leading principal components of the encoder's features.
    """
    fill = table.area / (np.pi / 4 * table.axes.prod(axis=1))
    shape = np.column_stack([np.log(table.area), np.log(table.axes), fill])
    groups = [standardised(shape), table.lab, principal_components(appearance.astype(np.float64), dimensions)]
    return np.concatenate([unit_variance(group) for group in groups], axis=1)


def standardised(values: Float64[np.ndarray, "M D"]) -> Float64[np.ndarray, "M D"]:
    """Scale to zero mean and unit variance per column; a constant column becomes 0."""
    std = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(std > TINY, std, 1))


def principal_components(values: Float64[np.ndarray, "M C"], dimensions: int) -> Float64[np.ndarray, "M D"]:
    """Return coordinates along the directions of largest variance; fewer when the data has fewer."""
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, :dimensions] * singular[:dimensions])


def unit_variance(values: Float64[np.ndarray, "M D"]) -> Float64[np.ndarray, "M D"]:
    """Centre, and scale as a whole to a total variance of 1; constant values become 0."""
    centred = values - values.mean(axis=0)
    total = np.sqrt(np.square(centred).sum(axis=1).mean())
    return centred / total if total > TINY else np.zeros_like(centred)
