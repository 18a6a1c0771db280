"""The few shots in several static variants, made once before training, as in MVFA's and MadCLIP's published code."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

ANGLES = (-math.pi / 8, -math.pi / 16, math.pi / 16, math.pi / 8)
SHIFTS = ((0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1))  # x, y; half of the image is 1
ZOOMS = (1.1, 1.15, 1.2, 1.3)
JITTER = 0.2  # brightness and contrast vary by up to this share
MASK_FROM = 0.5  # warped masks are 1 above it


@dataclass(frozen=True)
class Shots:
    """Images in [0, 1] and their masks; the order of the rows is variant by variant."""

    images: Float[Tensor, "N 3 S S"]
    masks: Float[Tensor, "N S S"]


def augment(shots: Shots, *, zoom_and_jitter: bool, generator: torch.Generator) -> Shots:
    """All images as they are, then turned, shifted, zoomed, jittered, and mirrored left to right and upside down.

    Args:
        zoom_and_jitter: 16 variants, as in MadCLIP's code; without them 11, as in MVFA's, which the paper follows.
        generator: draws the jitter, one brightness and one contrast for all images, as in the published code.
    """
    stacked = torch.cat([shots.images, shots.masks[:, None]], dim=1)
    variants = [stacked, *(turn(stacked, angle) for angle in ANGLES), *(shift(stacked, xy) for xy in SHIFTS)]
    if zoom_and_jitter:
        variants += [zoom(stacked, factor) for factor in ZOOMS]
        variants.append(torch.cat([jitter(shots.images, generator), stacked[:, 3:]], dim=1))
    variants += [stacked.flip(-1), stacked.flip(-2)]
    everything = torch.cat(variants)
    return Shots(everything[:, :3], (everything[:, 3] > MASK_FROM).float())


def turn(values: Float[Tensor, "N C S S"], angle: float) -> Float[Tensor, "N C S S"]:
    """Rotate about the centre by `angle` radians, what lies outside is mirrored in."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return warp(values, [[cosine, -sine, 0.0], [sine, cosine, 0.0]])


def shift(values: Float[Tensor, "N C S S"], xy: Sequence[float]) -> Float[Tensor, "N C S S"]:
    """Sample at places that lie `xy` further, what lies outside is mirrored in."""
    return warp(values, [[1.0, 0.0, xy[0]], [0.0, 1.0, xy[1]]])


def warp(values: Float[Tensor, "N C S S"], matrix: Sequence[Sequence[float]]) -> Float[Tensor, "N C S S"]:
    """Sample bilinearly at the affine image of each place."""
    affine = torch.tensor(matrix).expand(len(values), 2, 3)
    places = F.affine_grid(affine, list(values.shape), align_corners=False)
    sampled: Tensor = F.grid_sample(values, places, mode="bilinear", padding_mode="reflection", align_corners=False)
    return sampled


def zoom(values: Float[Tensor, "N C S S"], factor: float) -> Float[Tensor, "N C S S"]:
    """Cut out the central part of 1 / factor, in whole pixels, and enlarge it to the old size."""
    size = values.shape[-1]
    kept = int(size / factor)
    start = (size - kept) // 2
    centre = values[..., start : start + kept, start : start + kept]
    enlarged: Tensor = F.interpolate(centre, size=(size, size), mode="bilinear", align_corners=False)
    return enlarged


def jitter(images: Float[Tensor, "N 3 S S"], generator: torch.Generator) -> Float[Tensor, "N 3 S S"]:
    """Change brightness and contrast, clamped to [0, 1].

    The contrast turns about the mean over channels and rows, column by column: the published code's choice, probably a
    slip for the mean over all pixels.
    """
    brightness, contrast = (1.0 + JITTER * (2.0 * torch.rand(2, generator=generator) - 1.0)).tolist()
    bright = images * brightness
    pivot = bright.mean(dim=(1, 2), keepdim=True)
    return torch.clamp((bright - pivot) * contrast + pivot, 0.0, 1.0)
