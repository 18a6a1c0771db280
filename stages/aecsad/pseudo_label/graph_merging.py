"""Propose large, touching parts image by image: neighbouring regions are merged as far as suits all images best."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from stages.aecsad.pseudo_label.part_kinds import kinds_by_colour
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.aecsad.pseudo_label.region_tree import RegionTree, grow_tree
from stages.core.running.console import progress

MOST_PARTS = 60  # regions of a typical image where the search for the height begins
HEIGHTS = 60  # that are tried
SPAN = 1000  # between the largest and the smallest of them, at most
HOLD = 1.125  # times a height, and as much below it: where a number of parts has to hold
FEW_PARTS = 2  # fewer are no division of a product, however steady


def propose_by_merging(
    images: UInt8[Tensor, "N 3 H W"],
    *,
    superpixels: int,
    lightness: float,
    colour_kinds: bool,
    max_count_variation: float,
    min_area: float,
) -> Proposal:
    """Instances are the regions that are left when neighbours less unlike than one height for all images are merged.

    Regions that shade had divided are one (see `join_shaded`), and so may be touching regions of like colour (see
    `kinds_by_colour` and `join_alike`).

    Args:
        superpixels, lightness: see `grow_tree`.
        colour_kinds: whether kinds are groups of like colour (see `kinds_by_colour`); otherwise the cluster room finds
            them.
        max_count_variation: see `steady_number`.
        min_area: smallest region, as a fraction of the image.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    trees = [
        grow_tree(image, superpixels=superpixels, lightness=lightness)
        for image in progress(pixels, total=len(pixels), label="regions merged")
    ]
    height = steady_height(trees, max_count_variation=max_count_variation, min_area=min_area)
    values = np.stack([tree.parts(height, min_area=min_area)[tree.superpixels] for tree in trees])
    parts = Proposal(values, kinds_by_colour(values, pixels, lightness=lightness))
    if parts.kinds.any():
        parts = join_alike(parts, max_count_variation=max_count_variation, min_area=min_area)
    return parts if colour_kinds else Proposal(parts.values, np.zeros_like(parts.kinds))


def join_alike(parts: Proposal, *, max_count_variation: float, min_area: float) -> Proposal:
    """Make touching instances of one kind one instance, unless the steady number of parts is smaller then.

    Glare and reflections divide a part in every image otherwise: without that the number is steadier. Parts that look
    alike touch in every image. All kinds are known.
    """
    values = parts.values
    of_pixels = np.take_along_axis(parts.kinds, values.reshape(len(values), -1).astype(np.int64), axis=1)
    joined = instances_of_regions(of_pixels.reshape(values.shape), min_area=min_area, kinds_known=True)
    counts = np.stack([way.values.max(axis=(1, 2)) for way in (joined, parts)]).astype(np.int64)
    together, apart = steady_number(counts, max_count_variation=max_count_variation)
    return joined if together >= apart else parts


def steady_height(trees: Sequence[RegionTree], *, max_count_variation: float, min_area: float) -> float:
    """The height with the largest steady number of parts, over all images and the heights up to HOLD around it.

    Of equal ones, that with the steadiest number, and of those the numbers that hold over most heights.
    """
    low = float(np.median([tree.heights[-MOST_PARTS:][0] for tree in trees]))
    high = float(np.median([tree.heights[-1] for tree in trees]))
    if high <= 0:
        return 0.0
    heights = np.geomspace(max(low, high / SPAN), high, HEIGHTS)
    counts = np.array([[tree.parts(height, min_area=min_area).max() for tree in trees] for height in heights])
    around = round(np.log(HOLD) / np.log(heights[1] / heights[0])) if low < high else 0
    padded = np.pad(counts.astype(np.int64), ((around, around), (0, 0)), mode="edge")
    pooled = sliding_window_view(padded, 2 * around + 1, axis=0).reshape(HEIGHTS, -1)
    run = np.concatenate([[0], np.cumsum((counts[1:] != counts[:-1]).any(axis=1))])
    steady = steady_number(pooled, max_count_variation=max_count_variation)
    best = np.lexsort([-np.bincount(run)[run], variation(pooled).round(9), -steady.round(9)])[0]
    return float(heights[best])


def steady_number(counts: Int64[np.ndarray, "C N"], *, max_count_variation: float) -> Float64[np.ndarray, " C"]:
    """The mean number of parts of N images, discounted by how much it varies; of C ways to divide them.

    Images of one product consist of about the same parts, so the number of true parts varies little; divided too
    finely, it is noise. But too coarsely it may be steadier still (all cells of a battery are one region in every
    image), so the steadiest number is not the one to take: a larger one is, as long as it is steady, too.

        mean · max(0, 1 - variation² / limit²)

    Args:
        max_count_variation: that limit, from which on graph merging is not trusted.
    """
    discount = np.maximum(1 - np.square(variation(counts) / max_count_variation), 0)
    return np.asarray(counts.mean(axis=1) * discount)


def variation(counts: Int64[np.ndarray, "C N"]) -> Float64[np.ndarray, " C"]:
    """Standard deviation over the images relative to the mean; infinite where the mean is below FEW_PARTS."""
    mean = counts.mean(axis=1)
    return np.where(mean >= FEW_PARTS, counts.std(axis=1) / np.maximum(mean, 1), np.inf)
