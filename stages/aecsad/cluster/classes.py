"""From component maps to label maps: find the classes, drop the rare and the tiny, and judge the rest.

A class is a kind that the proposer knows, or a mode of the instances' descriptors.
"""

import logging

import numpy as np
from jaxtyping import Int64, UInt8

from stages.aecsad.cluster.composition import Plausibility, group_compositions, judge_classes
from stages.aecsad.cluster.params import ClusterParams
from stages.aecsad.model.describe import InstanceTable, measure_instances
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.modes import by_frequency, find_classes
from stages.core.io.components import ComponentMaps
from stages.core.runtime.histograms import patch_histograms

LOG = logging.getLogger(__name__)


def paint_classes(
    components: ComponentMaps, table: InstanceTable, classes: Int64[np.ndarray, " M"], *, min_area: float
) -> tuple[UInt8[np.ndarray, "N H W"], Int64[np.ndarray, " M"]]:
    """Return label maps of the classes, and the classes renumbered without those of a tiny mean area.

    Args:
        min_area: a class is kept when it covers more than this share of an image, on average (CSAD: 0.001).
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


def label_images(
    components: ComponentMaps,
    images: UInt8[np.ndarray, "N H W 3"],
    encoder_name: str,
    params: ClusterParams,
    *,
    seed: int,
) -> tuple[LabelMaps, Plausibility]:
    """Label every image and judge the labels; labels that are not plausible are withdrawn.

    Args:
        images: in the order of `components`.
    """
    table = measure_instances(components.values, images)
    kinds = components.kinds[table.image, table.number].astype(np.int64)
    if len(kinds) >= 2 and not kinds.all():  # the proposer does not know the classes
        kinds = cluster_instances(components, images, table, encoder_name, params, seed=seed)
    classes = by_frequency(kinds, min_count=params.min_class_share * len(images))
    values, classes = paint_classes(components, table, classes, min_area=params.min_class_area)
    num_classes = int(classes.max(initial=0)) + 1
    areas = patch_histograms(values, grid=1, num_classes=num_classes)[:, 1:]
    compositions = group_compositions(
        areas, groups=params.groups, min_group_share=params.min_group_share, labelled_share=params.labelled_share
    )
    counts = np.bincount(table.image[classes > 0], minlength=len(images))
    verdict = judge_classes(
        areas, counts, compositions, max_spread=params.max_spread, max_count_variation=params.max_count_variation
    )
    label_maps = LabelMaps(components.image_ids, values, num_classes, compositions.labelled)
    if verdict.plausible:
        return label_maps, verdict
    LOG.warning("no usable component classes, the histogram branch is excluded: %s", "; ".join(verdict.reasons))
    return label_maps.without_classes(), verdict


def cluster_instances(
    components: ComponentMaps,
    images: UInt8[np.ndarray, "N H W 3"],
    table: InstanceTable,
    encoder_name: str,
    params: ClusterParams,
    *,
    seed: int,
) -> Int64[np.ndarray, " M"]:
    """Describe the instances and find the mode that each one belongs to, 1.. in no particular order."""
    from stages.aecsad.model.appearance import describe  # torch: seconds, and known classes need none of it

    descriptors = describe(
        components, images, table, encoder_name, crop_size=params.crop_size, descriptor=params.descriptor,
        views=params.views, appearance_dimensions=params.appearance_dimensions, seed=seed,
    )  # fmt: skip
    return find_classes(
        descriptors, bandwidth=params.bandwidth, quantile=params.bandwidth_quantile, sample=params.bandwidth_sample,
        seed=seed,
    )  # fmt: skip
