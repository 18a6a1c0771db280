"""Compositions: which images are made of the usual parts, and whether the classes that were found can be real.

Images are grouped by the areas of their classes; the verdict on the classes rests on normal images alone.
"""

from dataclasses import dataclass

import hdbscan
import numpy as np
from jaxtyping import Bool, Float64, Int64

from stages.core.io.decision import Decision

SMALLEST_GROUP = 3  # images; two of a kind are a coincidence
MIN_LABELLED = 4  # a decoder cannot learn from fewer
MOST = 0.5  # groups count where more than that share of the images has one


@dataclass(frozen=True)
class Compositions:
    """Groups of images with similar compositions.

    Attributes:
        group: -1 = like no other; else the group's number.
        found: number of groups that HDBSCAN found; with 0, all images are taken as one group, or, the published way,
            none is labelled.
        labelled: the most typical images of each group.
    """

    group: Int64[np.ndarray, " N"]
    found: int
    labelled: Bool[np.ndarray, " N"]


def group_compositions(
    areas: Float64[np.ndarray, "N K"], *, groups: str, min_group_share: float, labelled_share: float
) -> Compositions:
    """Group images by the areas of their classes (HDBSCAN), and choose those nearest to each group's mean.

    Args:
        areas: without the background.
        groups: "every", see `group_all`; "largest" or "union", see `published_groups`.
        min_group_share: smallest group to begin with, as a share of the images.
        labelled_share: as many images become labelled as this share of a group's members, by L-infinity distance to the
            group's mean.
    """
    largest = int(min_group_share * len(areas))
    if groups == "every":
        return group_all(areas, largest, labelled_share=labelled_share)
    return published_groups(areas, largest, labelled_share=labelled_share, only_largest=groups == "largest")


def published_groups(
    areas: Float64[np.ndarray, "N K"], largest: int, *, labelled_share: float, only_largest: bool
) -> Compositions:
    """Group as CSAD's code does: the smallest group shrinks from `largest` until HDBSCAN finds any.

    The labelled images are sought among all images, not only among the group's members; without a group, there are
    none. With `only_largest` off (CSAD's `filter_hist: False`), every group has labelled images.
    """
    for size in range(min(largest, len(areas)), 1, -1):
        group = np.asarray(hdbscan.HDBSCAN(min_cluster_size=size).fit_predict(areas), dtype=np.int64)
        if group.max() >= 0:
            break
    else:
        nobody = np.zeros(len(areas), dtype=bool)
        return Compositions(np.full(len(areas), -1, dtype=np.int64), 0, nobody)
    sizes = np.bincount(group[group >= 0])
    labelled = np.zeros(len(areas), dtype=bool)
    for number in [int(sizes.argmax())] if only_largest else range(len(sizes)):
        distance = np.abs(areas - areas[group == number].mean(axis=0)).max(axis=1)
        labelled[np.argsort(distance, kind="stable")[: int(labelled_share * sizes[number])]] = True
    return Compositions(group, len(sizes), labelled)


def group_all(areas: Float64[np.ndarray, "N K"], largest: int, *, labelled_share: float) -> Compositions:
    """Label images of every group; where there is none, all images are one group.

    Where we leave CSAD: its smallest group shrinks from a tenth of the images until a group exists, and the largest
    one has the labelled images. Most products have one composition only, which is no cluster to HDBSCAN but noise,
    or with `allow_single_cluster` a core of exactly the smallest size; groups that a smaller and smaller size finds
    in it are accidents. So the size shrinks to half at most, groups count when they hold most images, and otherwise
    all images are one group. Every group has labelled images, because a product with variants (three kinds of
    juice) has one group for each and a decoder must see them all; and only members can be a group's labelled images.
    """
    for size in range(largest, max((largest + 1) // 2, SMALLEST_GROUP) - 1, -1):
        group = np.asarray(hdbscan.HDBSCAN(min_cluster_size=size).fit_predict(areas), dtype=np.int64)
        if (group >= 0).mean() > MOST:
            return Compositions(group, int(group.max()) + 1, nearest_members(areas, group, share=labelled_share))
    group = np.zeros(len(areas), dtype=np.int64)
    return Compositions(group, 0, nearest_members(areas, group, share=labelled_share))


def nearest_members(
    areas: Float64[np.ndarray, "N K"], group: Int64[np.ndarray, " N"], *, share: float
) -> Bool[np.ndarray, " N"]:
    """Choose the `share` of each group's members that are nearest to its mean."""
    labelled = np.zeros(len(areas), dtype=bool)
    for number in range(int(group.max(initial=-1)) + 1):
        members = np.flatnonzero(group == number)
        distance = np.abs(areas[members] - areas[members].mean(axis=0)).max(axis=1, initial=0)
        labelled[members[np.argsort(distance, kind="stable")[: int(np.ceil(share * len(members)))]]] = True
    return labelled


@dataclass(frozen=True)
class Plausibility(Decision):
    """Whether the classes are plausible, and the numbers behind that.

    Attributes:
        num_classes: component classes found, without background.
        components_mean, components_std: instances with a class, per image.
        groups: groups of similar composition that HDBSCAN found; with 0, all images count as one group.
        largest_group, grouped: share of images in the largest of them, and in any.
        spread: see `composition_spread`.
        labelled: images whose map may train the decoder.
        coverage: mean share of an image that belongs to a class.
        reasons: why not plausible; empty if plausible.
    """

    num_classes: int
    components_mean: float
    components_std: float
    groups: int
    largest_group: float
    grouped: float
    spread: float
    labelled: int
    coverage: float
    plausible: bool
    reasons: tuple[str, ...]


def judge_classes(
    areas: Float64[np.ndarray, "N K"],
    counts: Int64[np.ndarray, " N"],
    compositions: Compositions,
    *,
    max_spread: float,
    max_count_variation: float,
) -> Plausibility:
    """Decide whether the classes are plausible.

    Args:
        areas: share of each component class in each image.
        counts: instances with a class in each image.
        max_spread: largest `composition_spread`; a changed part is invisible in areas that vary more.
        max_count_variation: largest std / mean of the counts.
    """
    sizes = np.bincount(compositions.group[compositions.group >= 0], minlength=1) / len(areas)
    mean, std, num_classes = float(counts.mean()), float(counts.std()), areas.shape[1]
    spread, labelled = composition_spread(areas, compositions.group), int(compositions.labelled.sum())
    reasons = []
    if num_classes == 0:
        reasons.append("no component class occurs often enough")
    elif std > max_count_variation * mean:
        reasons.append(f"components per image vary wildly: {mean:.1f} ± {std:.1f}")
    if spread > max_spread:
        reasons.append(f"areas differ by {spread:.0%} among images of similar composition (allowed {max_spread:.0%})")
    if num_classes and labelled < MIN_LABELLED:
        reasons.append(f"only {labelled} images are typical enough to learn from (needed {MIN_LABELLED})")
    return Plausibility(
        num_classes=num_classes,
        components_mean=mean,
        components_std=std,
        groups=compositions.found,
        largest_group=float(sizes.max()) if compositions.found else 0.0,
        grouped=float(sizes.sum()) if compositions.found else 0.0,
        spread=spread,
        labelled=labelled,
        coverage=float(areas.sum(axis=1).mean()),
        plausible=not reasons,
        reasons=tuple(reasons),
    )


def composition_spread(areas: Float64[np.ndarray, "N K"], group: Int64[np.ndarray, " N"]) -> float:
    """Return the mean deviation of class areas from the mean of the image's group, relative to that of all classes.

    mean_n ||a_n - m_g(n)||₁ / mean_n ||a_n||₁    over the images that have a group; 0 where none has
    """
    deviation = [
        np.abs(areas[group == number] - areas[group == number].mean(axis=0)).sum(axis=1)
        for number in range(int(group.max(initial=-1)) + 1)
    ]
    covered = areas[group >= 0].sum(axis=1)
    return float(np.concatenate(deviation).mean() / covered.mean()) if deviation and covered.any() else 0.0
