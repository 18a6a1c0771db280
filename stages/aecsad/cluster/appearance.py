"""What the frozen encoder sees in each instance, whichever way it lies."""

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8, UInt16
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from stages.aecsad.cluster.instance_table import InstanceTable
from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import to_float
from stages.core.running.console import progress

BATCH = 16  # instances; eight views each. Larger batches leave the cache: 64 take nearly three times as long
STRIDE_8 = 2  # timm's number of that stage
STRIDE_32 = 4
TURNS = 20


def crop_instances(
    maps: UInt16[np.ndarray, "N H W"], images: UInt8[np.ndarray, "N H W 3"], table: InstanceTable, *, size: int
) -> UInt8[np.ndarray, "M size size 3"]:
    """Each instance alone on black, in the middle, scaled so that its longest extent from the middle fits.

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


def eight_views(crops: UInt8[Tensor, "B 3 S S"]) -> UInt8[Tensor, "8*B 3 S S"]:
    """The four rotations by right angles, and the same of the mirror image (T 4.2.2)."""
    turned = torch.cat([torch.rot90(crops, turns, dims=(2, 3)) for turns in range(4)])
    return torch.cat([turned, turned.flip(3)])


def twenty_views(crops: UInt8[Tensor, "B 3 S S"]) -> UInt8[Tensor, "20*B 3 S S"]:
    """Rotations by 20 angles from 0 to 360 degrees, both ends included as in CSAD's code, on black."""
    angles = np.linspace(0, 360, TURNS)
    return torch.cat([TF.rotate(crops, float(angle)) for angle in angles])


VIEWS = {"eight": eight_views, "twenty": twenty_views}


def appearance_features(
    crops: UInt8[np.ndarray, "M S S 3"], encoder: FrozenEncoder, *, views: str, device: torch.device
) -> Float32[np.ndarray, "M C"]:
    """Features of the encoder's last stage, averaged over place and the views.

    Args:
        views: "eight" or "twenty".
    """
    encoder = encoder.to(device)
    tensors = torch.from_numpy(crops).permute(0, 3, 1, 2).split(BATCH)
    means = []
    for batch in progress(tensors, total=len(tensors), label="component features"):
        features = encoder(to_float(VIEWS[views](batch).to(device)))[-1]
        means.append(features.mean(dim=(2, 3)).view(-1, len(batch), features.shape[1]).mean(dim=0).cpu())
    return torch.cat(means).numpy()
