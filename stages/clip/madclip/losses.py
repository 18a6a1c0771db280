"""From MadCLIP's similarities to anomaly maps, image scores and losses.

The losses are pairwise sigmoid for detection, focal and dice for segmentation; each is added over the blocks.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from stages.clip.madclip.network import Similarities
from stages.clip.madclip.params import DetectionDecision

FOCAL_GAMMA = 2.0
SMALL = 1e-5  # clamps the one-hot truth of the focal loss
DICE_SMOOTH = 1.0


def abnormal_maps(segmentation: Float[Tensor, "L B P 2"], *, size: int) -> Float[Tensor, "L B 2 size size"]:
    """Compute probabilities (normal, abnormal) of each pixel by block: enlarged first, softmax second.

    The grid is stretched over the whole image with its corners on the image's corners, as in the published code, also
    where the patches do not reach the last pixels.
    """
    blocks, batch, patches, _ = segmentation.shape
    side = math.isqrt(patches)
    grids = segmentation.flatten(0, 1).transpose(1, 2).reshape(blocks * batch, 2, side, side)
    enlarged: Tensor = F.interpolate(grids, size=(size, size), mode="bilinear", align_corners=True)
    return torch.unflatten(enlarged.softmax(dim=1), 0, (blocks, batch))


def detection_scores(detection: Float[Tensor, "L B P 2"]) -> Float[Tensor, "L B"]:
    """Average the probability of the abnormal text over the patches, by block."""
    return detection.softmax(dim=-1)[..., 1].mean(dim=-1)


def over_blocks(values: Float[Tensor, "L ..."], *, mean: bool) -> Float[Tensor, "..."]:
    """Add over the blocks (the published code) or average (the paper); the ranking is the same."""
    return torch.mean(values, dim=0) if mean else torch.sum(values, dim=0)


def siglip_loss(
    detection: Float[Tensor, "B P 2"], labels: Float[Tensor, " B"], *, decision: DetectionDecision = "mean"
) -> Float[Tensor, ""]:
    """Compute the pairwise sigmoid loss of the patches' similarities, without temperature, bias or pairs of images.

        -mean_B sum_2 mean_P log sigmoid(z S),    z = (-y, y)

    Args:
        detection: S.
        labels: 0 normal (y = -1), 1 abnormal (y = 1).
        decision: over the patches' log-likelihoods the mean, the largest, or half of each.
    """
    sign = 2.0 * labels - 1.0
    targets = torch.stack([-sign, sign], dim=-1)[:, None]
    likelihood = F.logsigmoid(targets * detection)
    mean, largest = likelihood.mean(dim=1), likelihood.amax(dim=1)
    decided = {"mean": mean, "max": largest, "both": (mean + largest) / 2}[decision]
    return -decided.sum(dim=-1).mean()


def focal_loss(probabilities: Float[Tensor, "B 2 S S"], masks: Float[Tensor, "B S S"]) -> Float[Tensor, ""]:
    """Average -(1 - p)^2 log p of each pixel's true class, alpha 1; the one-hot truth is clamped as in MVFA's code."""
    truth = torch.stack([1.0 - masks, masks], dim=1).clamp(SMALL, 1.0 - SMALL)
    p = (truth * probabilities).sum(dim=1) + SMALL
    return (-((1.0 - p) ** FOCAL_GAMMA) * p.log()).mean()


def dice_loss(abnormal: Float[Tensor, "B S S"], masks: Float[Tensor, "B S S"]) -> Float[Tensor, ""]:
    """Average 1 - (2 sum p m + 1) / (sum p + sum m + 1) over the images; normal images have an empty mask."""
    overlap = (abnormal * masks).sum(dim=(1, 2))
    total = abnormal.sum(dim=(1, 2)) + masks.sum(dim=(1, 2))
    return (1.0 - (2.0 * overlap + DICE_SMOOTH) / (total + DICE_SMOOTH)).mean()


def loss_terms(
    found: Similarities,
    labels: Float[Tensor, " B"],
    masks: Float[Tensor, "B S S"],
    has_mask: Bool[Tensor, " B"],
    *,
    decision: DetectionDecision = "mean",
) -> dict[str, Float[Tensor, ""]]:
    """Compute the terms by name, each added over the blocks.

    Args:
        found: similarities of a batch.
        labels: 0 normal, 1 abnormal.
        masks: 0 or 1; of normal images empty.
        has_mask: images whose mask is known. Others take no part in the segmentation terms, which are absent where
            no mask is known.
        decision: see `siglip_loss`.
    """
    terms = {"siglip": torch.stack([siglip_loss(block, labels, decision=decision) for block in found.detection]).sum()}
    if has_mask.any():
        known = masks[has_mask]
        maps = abnormal_maps(found.segmentation[:, has_mask], size=masks.shape[-1])
        terms["focal"] = torch.stack([focal_loss(block, known) for block in maps]).sum()
        terms["dice"] = torch.stack([dice_loss(block[:, 1], known) for block in maps]).sum()
    return terms
