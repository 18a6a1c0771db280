"""Many views of the one image that a one-shot training learns from: moved, turned, scaled, flipped, lighter or darker.

A single image shows every part in one place, one pose and one light only. Right-angle views of all images are made in
`stages.sir.features.caching`.
"""

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from stages.sir.features.params import OneShotViewsParams


def one_shot_views(
    image: UInt8[Tensor, "3 S S"], params: OneShotViewsParams, random: np.random.Generator
) -> UInt8[Tensor, "V 3 S S"]:
    """Draw the views, each with all changes at random strengths; what lies outside the image is mirrored in.

    Args:
        image: 8-bit RGB.
        params: how many, and the largest changes.
        random: decides the strengths.
    """
    picture = image.permute(1, 2, 0).numpy()
    views = np.stack([changed(picture, params, random) for _ in range(params.views)])
    return torch.from_numpy(views).permute(0, 3, 1, 2).contiguous()


def changed(
    picture: UInt8[np.ndarray, "S S 3"], params: OneShotViewsParams, random: np.random.Generator
) -> UInt8[np.ndarray, "S S 3"]:
    """Move, turn and scale, then flip, then change brightness and contrast."""
    side = picture.shape[0]
    factor = np.exp(random.uniform(-params.scale, params.scale))
    angle = random.uniform(-params.rotation, params.rotation)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, factor)
    across, down = random.uniform(-params.shift * side, params.shift * side, 2)
    matrix += np.array([[0, 0, across], [0, 0, down]])
    moved = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if params.flips:
        moved = moved[:: random.choice([-1, 1]), :: random.choice([-1, 1])]
    brightness, contrast = 1 + random.uniform(-params.light, params.light, 2)
    light = brightness * moved.astype(np.float64)
    mean = light.mean()
    view: UInt8[np.ndarray, "S S 3"] = np.clip(np.round(mean + contrast * (light - mean)), 0, 255).astype(np.uint8)
    return view
