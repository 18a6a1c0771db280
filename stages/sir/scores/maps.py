"""Where and how much the reconstruction misses the teacher."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from torch import Tensor

from stages.core.sir.distances import pixel_cosine_distance


def anomaly_maps(
    targets: Sequence[Float[Tensor, "B C h w"]],
    loops: Sequence[Sequence[Float[Tensor, "B C h w"]]],
    *,
    size: int,
    chosen: Literal["last", "mean"],
    fusion: Literal["sum", "product"],
    sigma: float,
) -> Float[np.ndarray, "B S S"]:
    """1 - cos at every cell of every stage, at the image's size, fused and blurred; at least 0.

    Deng and Li, CVPR 2022, section 3.3, for one loop. Corners are not aligned there, so that a cell stays where its
    pixels are.

    Args:
        targets: the teacher's features; loops: the reconstructions R[t][l].
        size: S, pixels a side.
    """
    used = loops[-1:] if chosen == "last" else loops
    maps = torch.stack([fuse(targets, loop, size=size, fusion=fusion) for loop in used]).mean(dim=0)
    values = maps.cpu().double().numpy()
    return gaussian_filter(values, sigma=(0, sigma, sigma)) if sigma else values


def fuse(
    targets: Sequence[Tensor], loop: Sequence[Tensor], *, size: int, fusion: Literal["sum", "product"]
) -> Float[Tensor, "B S S"]:
    """The stages' maps of one loop as one; cosines beyond 1 by rounding count as 1."""
    distances = [
        pixel_cosine_distance(stage, rebuilt).clamp_min(0) for stage, rebuilt in zip(targets, loop, strict=True)
    ]
    large = torch.stack([F.interpolate(one[:, None], (size, size), mode="bilinear")[:, 0] for one in distances])
    return large.sum(dim=0) if fusion == "sum" else large.prod(dim=0)


def image_scores(maps: Float[np.ndarray, "B S S"], *, pooled_share: float) -> Float[np.ndarray, " B"]:
    """The mean of the highest values of each map; one value at least."""
    flat = maps.reshape(len(maps), -1)
    count = max(1, round(pooled_share * flat.shape[1]))
    highest = np.partition(flat, flat.shape[1] - count, axis=1)[:, flat.shape[1] - count :]
    scores: Float[np.ndarray, " B"] = highest.mean(axis=1)
    return scores


def shrink(maps: Float[np.ndarray, "B S S"], *, size: int) -> Float[np.ndarray, "B s s"]:
    """Mean of squares of pixels; the blur has left nothing finer."""
    factor = maps.shape[-1] // size
    means: Float[np.ndarray, "B s s"] = maps.reshape(len(maps), size, factor, size, factor).mean(axis=(2, 4))
    return means
