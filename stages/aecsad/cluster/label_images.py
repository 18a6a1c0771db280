"""The whole way from component maps to label maps."""

import logging
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from stages.aecsad.cluster.classes import classify_instances, paint_classes
from stages.aecsad.cluster.composition import group_compositions
from stages.aecsad.cluster.plausibility import Plausibility, judge
from stages.core.artifacts.component_maps import ComponentMaps
from stages.core.artifacts.label_maps import LabelMaps
from stages.core.patch_histogram import patch_histograms

LOG = logging.getLogger(__name__)


def label_images(
    components: ComponentMaps,
    images: UInt8[Tensor, "N 3 H W"],
    encoder_name: str,
    *,
    min_class_area: float,
    groups: str,
    min_group_share: float,
    labelled_share: float,
    max_spread: float,
    max_count_variation: float,
    seed: int,
    **classification: Any,
) -> tuple[LabelMaps, Plausibility]:
    """Label every image and judge the labels; labels that are not plausible are withdrawn (num_classes 1).

    Args:
        classification: further arguments of `classify_instances`.
    """
    table, classes = classify_instances(components, images, encoder_name, seed=seed, **classification)
    values, classes = paint_classes(components, table, classes, min_area=min_class_area)
    num_classes = int(classes.max(initial=0)) + 1
    areas = patch_histograms(values, grid=1, num_classes=num_classes)[:, 1:]
    compositions = group_compositions(
        areas, groups=groups, min_group_share=min_group_share, labelled_share=labelled_share
    )
    counts = np.bincount(table.image[classes > 0], minlength=len(images))
    verdict = judge(
        areas,
        counts,
        compositions,
        max_spread=max_spread,
        max_count_variation=max_count_variation,
    )
    if verdict.plausible:
        return LabelMaps(components.image_ids, values, num_classes, compositions.labelled), verdict
    LOG.warning("no usable component classes, the histogram branch stays out: %s", "; ".join(verdict.reasons))
    none = np.zeros(len(images), dtype=bool)
    return LabelMaps(components.image_ids, np.zeros_like(values), 1, none), verdict
