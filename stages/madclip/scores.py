"""From similarities to an anomaly map and an image score."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def abnormal_maps(segmentation: Float[Tensor, "L B P 2"], *, size: int) -> Float[Tensor, "L B 2 size size"]:
    """Probabilities (normal, abnormal) of each pixel by block: enlarged first, softmax second.

    The grid is stretched over the whole image with its corners on the image's corners, as in the published code, also
    where the patches leave the last pixels out.
    """
    blocks, batch, patches, _ = segmentation.shape
    side = math.isqrt(patches)
    grids = segmentation.flatten(0, 1).transpose(1, 2).reshape(blocks * batch, 2, side, side)
    enlarged: Tensor = F.interpolate(grids, size=(size, size), mode="bilinear", align_corners=True)
    return torch.unflatten(enlarged.softmax(dim=1), 0, (blocks, batch))


def detection_scores(detection: Float[Tensor, "L B P 2"]) -> Float[Tensor, "L B"]:
    """Mean probability of the abnormal text over the patches, by block."""
    return detection.softmax(dim=-1)[..., 1].mean(dim=-1)


def over_blocks(values: Float[Tensor, "L ..."], *, mean: bool) -> Float[Tensor, "..."]:
    """Sum over the blocks (the published code) or mean (the paper); the ranking is the same."""
    return torch.mean(values, dim=0) if mean else torch.sum(values, dim=0)
