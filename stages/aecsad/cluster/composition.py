"""Which images are made of the usual parts: clusters of their class-area histograms."""

from dataclasses import dataclass

import hdbscan
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

SMALLEST_GROUP = 3


@dataclass(frozen=True)
class Compositions:
    """Groups of images with alike compositions.

    Attributes:
        group: -1 = like no other; else the group's number.
        labelled: the most typical images of each group.
    """

    group: Int64[np.ndarray, "N"]
    labelled: Bool[np.ndarray, "N"]


def class_areas(labels: UInt8[np.ndarray, "N H W"], num_classes: int) -> Float64[np.ndarray, "N num_classes"]:
    """Share of each class, background included, in each image."""
    offset = np.arange(len(labels))[:, None, None] * num_classes
    counts = np.bincount((labels + offset).ravel(), minlength=len(labels) * num_classes)
    return counts.reshape(len(labels), num_classes) / labels[0].size


def group_compositions(
    areas: Float64[np.ndarray, "N K"], *, min_group_share: float, labelled_share: float
) -> Compositions:
    """HDBSCAN on the areas of the component classes, then the images nearest to each group's mean.

    As in CSAD the smallest group starts at `min_group_share` * N images and shrinks until a group exists. Where we
    leave CSAD: one group of all is an answer (`allow_single_cluster`), because most products have one composition
    only; every group gives labelled images, not the largest alone, because a product with variants (three kinds of
    juice) has one group each and a decoder must see them all; and only members of a group can be its labelled images.

    Args:
        areas: without the background.
        labelled_share: share of a group's members that become labelled, by L-infinity distance to the group's mean.
    """
    for size in range(max(int(min_group_share * len(areas)), SMALLEST_GROUP), SMALLEST_GROUP - 1, -1):
        group = hdbscan_groups(areas, size)
        if group.max() >= 0:
            return Compositions(group, nearest_members(areas, group, share=labelled_share))
    return Compositions(np.full(len(areas), -1, dtype=np.int64), np.zeros(len(areas), dtype=bool))


def hdbscan_groups(areas: Float64[np.ndarray, "N K"], size: int) -> Int64[np.ndarray, "N"]:
    """Groups of at least `size` images: several if HDBSCAN finds them for most images, else perhaps one."""
    if size >= len(areas):
        return np.full(len(areas), -1, dtype=np.int64)
    for single in (False, True):
        group: Int64[np.ndarray, "N"] = hdbscan.HDBSCAN(min_cluster_size=size, allow_single_cluster=single).fit_predict(
            areas
        )
        if (group >= 0).mean() > 0.5:
            break
    return group


def nearest_members(
    areas: Float64[np.ndarray, "N K"], group: Int64[np.ndarray, "N"], *, share: float
) -> Bool[np.ndarray, "N"]:
    """The `share` of each group's members that lie nearest to its mean."""
    labelled = np.zeros(len(areas), dtype=bool)
    for number in range(int(group.max(initial=-1)) + 1):
        members = np.flatnonzero(group == number)
        distance = np.abs(areas[members] - areas[members].mean(axis=0)).max(axis=1)
        labelled[members[np.argsort(distance, kind="stable")[: int(np.ceil(share * len(members)))]]] = True
    return labelled
