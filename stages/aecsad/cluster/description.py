"""Describe instances in one of two ways."""

import numpy as np
from jaxtyping import Float64, UInt8

from stages.aecsad.cluster.appearance import STRIDE_8, STRIDE_32, appearance_features, crop_instances
from stages.aecsad.cluster.descriptors import describe_instances, project
from stages.aecsad.cluster.instance_table import InstanceTable
from stages.core.artifacts.component_maps import ComponentMaps
from stages.core.device import pick_device
from stages.core.frozen_encoder.encoder import FrozenEncoder


def describe(
    components: ComponentMaps,
    pixels: UInt8[np.ndarray, "N H W 3"],
    table: InstanceTable,
    encoder_name: str,
    *,
    crop_size: int,
    descriptor: str,
    views: str,
    appearance_dimensions: int,
    seed: int,
) -> Float64[np.ndarray, "M D"]:
    """A point for each instance.

    Args:
        crop_size: side of the square that an instance is scaled to, in pixels.
        descriptor: "mixed", shape, colour and the principal components of the encoder's features at stride 8; or
            "projected", a random projection of those at stride 32, as in CSAD's code.
        views: over which the features are averaged: "eight" (right angles and mirror images; AeCSAD thesis, 4.2.2) or
            "twenty" (rotations; CSAD's code).
        appearance_dimensions: principal components, or dimensions of the projection.
    """
    crops = crop_instances(components.values, pixels, table, size=crop_size)
    encoder = FrozenEncoder(encoder_name, stages=[STRIDE_8 if descriptor == "mixed" else STRIDE_32])
    appearance = appearance_features(crops, encoder, views=views, device=pick_device())
    if descriptor == "projected":
        return project(appearance, dimensions=appearance_dimensions, seed=seed)
    return describe_instances(table, appearance, dimensions=appearance_dimensions)
