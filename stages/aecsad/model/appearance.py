"""What the frozen encoder sees in component instances, and points made of that.

In a module of its own, since where the proposer knows the classes nothing of this is needed, and torch takes seconds.
"""

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from stages.aecsad.model.describe import InstanceTable, crop_instances, describe_instances
from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.io.components import ComponentMaps
from stages.core.run.console import progress

BATCH = 16  # instances; eight views each. Larger batches leave the cache: 64 take nearly three times as long
TURNS = 20
PROJECTION_STD = 0.01  # of the random weights in CSAD's code


def eight_views(crops: UInt8[Tensor, "B 3 S S"]) -> UInt8[Tensor, "8*B 3 S S"]:
    """Turn by the four right angles, and do the same with the mirror image (AeCSAD thesis, 4.2.2)."""
    turned = torch.cat([torch.rot90(crops, turns, dims=(2, 3)) for turns in range(4)])
    return torch.cat([turned, turned.flip(3)])


def twenty_views(crops: UInt8[Tensor, "B 3 S S"]) -> UInt8[Tensor, "20*B 3 S S"]:
    """Turn by 20 angles from 0 to 360 degrees, both ends included as in CSAD's code, on black."""
    from torchvision.transforms.v2 import functional as TF  # takes seconds, and the default needs none of it

    angles = np.linspace(0, 360, TURNS)
    return torch.cat([TF.rotate(crops, float(angle)) for angle in angles])


VIEWS = {"eight": eight_views, "twenty": twenty_views}


def appearance_features(
    crops: UInt8[np.ndarray, "M S S 3"], encoder: FrozenEncoder, *, views: str, device: torch.device
) -> Float32[np.ndarray, "M C"]:
    """Return features of the encoder's last stage, averaged over place and the views.

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


def project(appearance: Float32[np.ndarray, "M C"], *, dimensions: int, seed: int) -> Float64[np.ndarray, "M D"]:
    """Map the features at random and linearly, weights from N(0, 0.01²) and no bias, as in CSAD's code.

    Its fixed bandwidth of 3.5 is only meaningful for this map of WideResNet-50-2's 2048 features to 512.
    """
    weights = np.random.default_rng(seed).normal(0, PROJECTION_STD, size=(appearance.shape[1], dimensions))
    return np.asarray(appearance.astype(np.float64) @ weights)


def describe(
    components: ComponentMaps,
    images: UInt8[np.ndarray, "N H W 3"],
    table: InstanceTable,
    encoder_name: str,
    *,
    crop_size: int,
    descriptor: str,
    views: str,
    appearance_dimensions: int,
    seed: int,
) -> Float64[np.ndarray, "M D"]:
    """Return a point for each instance.

    Args:
        crop_size: side of the square that an instance is scaled to, in pixels.
        descriptor: "mixed", shape, colour and the principal components of the encoder's features at stride 8; or
            "projected", a random projection of those at stride 32, as in CSAD's code.
        views: over which the features are averaged: "eight" (right angles and mirror images; AeCSAD thesis, 4.2.2) or
            "twenty" (rotations; CSAD's code).
        appearance_dimensions: principal components, or dimensions of the projection.
    """
    crops = crop_instances(components.values, images, table, size=crop_size)
    encoder = FrozenEncoder(encoder_name, strides=[8 if descriptor == "mixed" else 32])
    appearance = appearance_features(crops, encoder, views=views, device=pick_device())
    if descriptor == "projected":
        return project(appearance, dimensions=appearance_dimensions, seed=seed)
    return describe_instances(table, appearance, dimensions=appearance_dimensions)
