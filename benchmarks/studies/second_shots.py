"""Second shots of the same scenes, and how much of what was found in the first is found again."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8, UInt16
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from stages.evaluation.components import pairwise_iou

SHIFT = 6  # pixels to each side, at most
EXPOSURE, TINT, SHADE = 0.1, 0.03, 0.1  # standard deviations: of all light, of each channel's, of a ramp across it
BLUR, NOISE = 0.7, 2.0  # pixels, at most; grey levels, standard deviation


@dataclass(frozen=True)
class SecondShots:
    """Images and the same scenes taken again.

    Attributes:
        first, second: RGB.
        shifts: (down, right) in pixels: what lies at (y, x) in the first lies at (y + down, x + right) in the second.
    """

    first: UInt8[Tensor, "N 3 H W"]
    second: UInt8[Tensor, "N 3 H W"]
    shifts: Int64[np.ndarray, "N 2"]


def take_again(images: UInt8[Tensor, "N 3 H W"], *, seed: int) -> SecondShots:
    """The images under a camera and light that changed as they do between two days in a factory."""
    draw = np.random.default_rng(seed)
    shifts = draw.integers(-SHIFT, SHIFT + 1, size=(len(images), 2))
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    second = np.stack([shoot(image, shift, draw) for image, shift in zip(pixels, shifts, strict=True)])
    return SecondShots(images, torch.from_numpy(second).permute(0, 3, 1, 2).contiguous(), shifts)


def shoot(
    image: UInt8[np.ndarray, "H W 3"], shift: Int64[np.ndarray, " 2"], draw: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """One second shot."""
    height, width = image.shape[:2]
    down, right = shift.tolist()
    wide = cv2.copyMakeBorder(image, SHIFT, SHIFT, SHIFT, SHIFT, cv2.BORDER_REFLECT_101)
    moved = wide[SHIFT - down : SHIFT - down + height, SHIFT - right : SHIFT - right + width].astype(np.float64)
    towards = draw.uniform(0, 2 * np.pi)
    across = np.cos(towards) * np.linspace(-1, 1, width) + np.sin(towards) * np.linspace(-1, 1, height)[:, None]
    light = np.exp(draw.normal(0, EXPOSURE) + draw.normal(0, SHADE) * across[..., None] + draw.normal(0, TINT, size=3))
    blurred = cv2.GaussianBlur(moved * light, (0, 0), max(draw.uniform(0, BLUR), 0.01))
    noisy = blurred + draw.normal(0, NOISE, size=image.shape)
    return np.asarray(noisy.round().clip(0, 255), dtype=np.uint8)


def panoptic_quality(
    first: UInt16[np.ndarray, "N H W"], second: UInt16[np.ndarray, "N H W"], shifts: Int64[np.ndarray, "N 2"]
) -> Float64[np.ndarray, " N"]:
    """2 sum of matched IoU / (parts of one + parts of the other) for each image; 0 where neither has a part."""
    return np.array([one_quality(*overlapping(*row)) for row in zip(first, second, shifts, strict=True)])


def one_quality(first: UInt16[np.ndarray, "H W"], second: UInt16[np.ndarray, "H W"]) -> float:
    """See `panoptic_quality`."""
    parts = len(np.unique(first[first > 0])) + len(np.unique(second[second > 0]))
    overlaps = pairwise_iou(first, second)
    return float(2 * overlaps[linear_sum_assignment(overlaps, maximize=True)].sum() / max(parts, 1))


def same_classes(
    first: UInt8[np.ndarray, "N H W"], second: UInt8[np.ndarray, "N H W"], shifts: Int64[np.ndarray, "N 2"]
) -> float:
    """Adjusted Rand index (at most 1, 0 by chance) over the pixels with a class in either shot.

    0 where those are all alike in one shot: without a class, or of a single one, agreement is what chance gives.
    """
    pairs = [overlapping(*row) for row in zip(first, second, shifts, strict=True)]
    ones, others = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    known = (ones > 0) | (others > 0)
    if min(len(np.unique(ones[known])), len(np.unique(others[known]))) < 2:
        return 0.0
    return float(adjusted_rand_score(ones[known], others[known]))


def overlapping(first: np.ndarray, second: np.ndarray, shift: Int64[np.ndarray, " 2"]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of both that show the same places."""
    down, right = shift.tolist()
    height, width = first.shape
    rows, columns = height - abs(down), width - abs(right)
    top, left = max(-down, 0), max(-right, 0)
    there = second[top + down : top + down + rows, left + right : left + right + columns]
    return first[top : top + rows, left : left + columns], there
