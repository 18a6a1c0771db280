"""Propose large, touching parts image by image: neighbouring regions are merged as far as suits all images best."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8, UInt16
from torch import Tensor

from stages.aecsad.pseudo_label.part_kinds import kinds_by_colour
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.aecsad.pseudo_label.region_tree import RegionTree, grow_tree
from stages.core.running.console import progress

MOST_PARTS = 20  # regions of a typical image where the search for the height begins
HEIGHTS = 40  # that are tried
SPAN = 1000  # between the largest and the smallest of them, at most


def propose_by_merging(
    images: UInt8[Tensor, "N 3 H W"], *, superpixels: int, lightness: float, colour_kinds: bool, min_area: float
) -> Proposal:
    """Instances are the regions that are left when neighbours less unlike than one height for all images are merged.

    Touching parts of like colour are one part that light and shade had divided, where colours fall into clear groups
    (see `kinds_by_colour`).

    Args:
        superpixels, lightness: see `grow_tree`.
        colour_kinds: whether those groups are the instances' kinds, too; otherwise the cluster room finds them.
        min_area: smallest region, as a fraction of the image.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    trees = [
        grow_tree(image, superpixels=superpixels, lightness=lightness)
        for image in progress(pixels, total=len(pixels), label="regions merged")
    ]
    height = steadiest_height(trees, min_area=min_area)
    values = np.stack([tree.parts(height, min_area=min_area)[tree.superpixels] for tree in trees])
    kinds = kinds_by_colour(values, pixels, lightness=lightness)
    joined = join_touching(values, kinds, min_area=min_area) if kinds.any() else Proposal(values, kinds)
    return joined if colour_kinds else Proposal(joined.values, np.zeros_like(joined.kinds))


def join_touching(
    values: UInt16[np.ndarray, "N H W"], kinds: UInt8[np.ndarray, "N instances+1"], *, min_area: float
) -> Proposal:
    """Make touching instances of one kind one instance."""
    of_pixels = np.take_along_axis(kinds, values.reshape(len(values), -1).astype(np.int64), axis=1)
    return instances_of_regions(of_pixels.reshape(values.shape), min_area=min_area, kinds_known=True)


def steadiest_height(trees: Sequence[RegionTree], *, min_area: float) -> float:
    """The height at which the number of parts varies least over the images, relative to its mean.

    Images of one product consist of about the same parts, so the number of true parts varies little; merged too
    little or too far, it is noise. Of equally steady ones, the numbers that hold over most heights are taken. Heights
    that leave fewer than two parts in a mean image come last: nothing is steadier than no parts at all.
    """
    low = float(np.median([tree.heights[-MOST_PARTS:][0] for tree in trees]))
    high = float(np.median([tree.heights[-1] for tree in trees]))
    candidates = np.geomspace(max(low, high / SPAN), high, HEIGHTS) if high > 0 else np.zeros(1)
    counts = np.array([[tree.parts(height, min_area=min_area).max() for tree in trees] for height in candidates])
    mean = counts.mean(axis=1)
    variation = np.where(mean >= 2, counts.std(axis=1) / np.maximum(mean, 1), np.inf)
    run = np.concatenate([[0], np.cumsum((counts[1:] != counts[:-1]).any(axis=1))])
    best = np.lexsort([-np.bincount(run)[run], variation.round(9)])[0]
    return float(candidates[best])
