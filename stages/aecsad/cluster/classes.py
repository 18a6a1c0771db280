"""From instances to label maps: find classes, drop the rare and the tiny."""

from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from stages.aecsad.cluster.description import describe
from stages.aecsad.cluster.instance_table import InstanceTable, measure_instances
from stages.aecsad.cluster.mean_shift import by_frequency, find_classes
from stages.core.artifacts.component_maps import ComponentMaps


def classify_instances(
    components: ComponentMaps,
    images: UInt8[Tensor, "N 3 H W"],
    encoder_name: str,
    *,
    bandwidth: float | None,
    bandwidth_quantile: float | None,
    bandwidth_sample: int,
    min_class_share: float,
    seed: int,
    **description: Any,
) -> tuple[InstanceTable, Int64[np.ndarray, " M"]]:
    """Class of every instance, 1.. by falling frequency, 0 for instances of rare classes.

    Kinds that the proposer knows are the classes; otherwise instances are described and clustered.

    Args:
        bandwidth, bandwidth_quantile, bandwidth_sample: see `find_classes`.
        min_class_share: smallest number of instances of a class, as a fraction of the number of images.
        description: further arguments of `describe`.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    table = measure_instances(components.values, pixels)
    min_count = min_class_share * len(images)
    kinds = components.kinds[table.image, table.number].astype(np.int64)
    if len(kinds) < 2 or kinds.all():
        return table, by_frequency(kinds, min_count=min_count)
    descriptors = describe(components, pixels, table, encoder_name, seed=seed, **description)
    found = find_classes(
        descriptors, bandwidth=bandwidth, quantile=bandwidth_quantile, sample=bandwidth_sample, seed=seed
    )
    return table, by_frequency(found, min_count=min_count)


def paint_classes(
    components: ComponentMaps, table: InstanceTable, classes: Int64[np.ndarray, " M"], *, min_area: float
) -> tuple[UInt8[np.ndarray, "N H W"], Int64[np.ndarray, " M"]]:
    """Label maps of the classes, and the classes renumbered without those of a tiny mean area.

    Args:
        min_area: a class stays when it covers more than this share of an image, on average (CSAD: 0.001).
    """
    pixels = components.values.size
    areas = np.bincount(classes, weights=table.area, minlength=1) / max(pixels, 1)
    kept = areas > min_area
    kept[0] = False
    classes = np.where(kept, np.cumsum(kept), 0)[classes]
    colours = np.zeros(components.kinds.shape, dtype=np.uint8)
    colours[table.image, table.number] = classes
    rows = np.arange(len(components.values))[:, None, None]
    return colours[rows, components.values], classes
