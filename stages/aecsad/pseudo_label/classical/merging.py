"""Propose large, touching parts image by image: neighbouring regions are merged as far as suits all images best.

A `RegionTree` holds all ways to divide one image: small regions, merged two at a time into ever larger ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import higra
import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8, UInt16
from numpy.lib.stride_tricks import sliding_window_view
from skimage.segmentation import watershed
from torch import Tensor

from stages.aecsad.pseudo_label.choice import FEW_PARTS
from stages.aecsad.pseudo_label.classical.colour import L_UNIT, kinds_by_colour
from stages.aecsad.pseudo_label.classical.shading import Borders, find_borders, join_shaded, neighbours, sums
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.core.run.console import progress
from stages.core.run.parallel import on_all_cores

SOBEL = 1 / 8  # makes a Sobel filter's answer the change per pixel
MOST_PARTS = 60  # regions of a typical image where the search for the height begins
HEIGHTS = 60  # that are tried
SPAN = 1000  # between the largest and the smallest of them, at most
FOR_HEIGHT = 128  # images that the height is chosen on, or up to twice as many
REMEMBERED = 128  # trees: those of a trial, for the run on all images that follows
HOLD = 1.125  # times a height, and as much below it: where a number of parts has to hold


@dataclass(frozen=True)
class RegionTree:
    """The merges of an image's n superpixels.

    Attributes:
        superpixels: 0..n-1 for every pixel.
        children: the two regions that merge m joins; together they are region n + m.
        heights: how different the two were; never falls.
        area, rim: pixels of each superpixel, in the image and on its border.
        colours: mean of each superpixel, in weighted CIE Lab.
        borders: between superpixels.
    """

    superpixels: UInt16[np.ndarray, "H W"]
    children: Int64[np.ndarray, "n-1 2"]
    heights: Float64[np.ndarray, " n-1"]
    area: Int64[np.ndarray, " n"]
    rim: Int64[np.ndarray, " n"]
    colours: Float64[np.ndarray, "n 3"]
    borders: Borders

    def parts(self, height: float, *, min_area: float) -> UInt16[np.ndarray, " n"]:
        """Return the part that each superpixel belongs to, 1.., after all merges up to that height; 0 for the ground.

        A region is ground when it holds a larger share of the image's border than of the image (products lie inside
        it), or is not larger than `min_area`, a fraction of the image. Parts that shade had divided are joined (see
        `join_shaded`).
        """
        numbers = self.regions_after(int(self.merges(height)))
        share = np.bincount(numbers, weights=self.area) / self.area.sum()
        at_rim = np.bincount(numbers, weights=self.rim) / self.rim.sum()
        inside = (at_rim < share) & (share > min_area)
        divided = np.where(inside, np.cumsum(inside), 0)[numbers]
        return join_shaded(divided, self.borders, self.colours, self.area).astype(np.uint16)

    def merges(self, height: float | Float64[np.ndarray, "*C"]) -> Int64[np.ndarray, "*C"]:
        """Return how many merges there are up to each height."""
        return np.asarray(np.searchsorted(self.heights, height, side="right"))

    def regions_after(self, merges: int) -> Int64[np.ndarray, " n"]:
        """Return the region that each superpixel belongs to after that many merges, 0.. without gaps."""
        count = len(self.area)
        region = np.arange(count + merges)
        region[self.children[:merges]] = np.arange(count, count + merges)[:, None]
        while not np.array_equal(whole := region[region], region):  # each round doubles the merges that are followed
            region = whole
        present = np.zeros(count + merges, dtype=bool)
        present[region[:count]] = True
        return np.asarray((np.cumsum(present) - 1)[region[:count]])


def grow_tree(image: UInt8[np.ndarray, "H W 3"], *, superpixels: int, lightness: float) -> RegionTree:
    """Merge superpixels that follow the edges with their neighbours by Ward's method.

    The superpixels are the basins of a watershed on the colour gradient, from markers on a regular grid. Of all pairs
    of neighbours, those are merged whose merging raises the sum of squared differences to the regions' means least:

        height = sqrt(2 |A| |B| / (|A| + |B|)) ||mean(A) - mean(B)||₂, in superpixels and weighted CIE Lab

    Args:
        image: RGB.
        superpixels: about how many to begin with.
        lightness: weight of L against a and b, below 1 because shading and glare change L more than the hue.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) * np.array([L_UNIT, 1, 1], dtype=np.float32)
    basins = watershed(colour_gradient(lab), superpixels)  # type: ignore[no-untyped-call]
    labels = np.asarray(basins, dtype=np.int64) - 1
    area = np.bincount(labels.ravel())
    weighted = (lab * np.array([lightness, 1, 1], dtype=np.float32)).astype(np.float64)
    colours = sums(labels.ravel(), weighted.reshape(-1, 3), len(area)) / area[:, None]
    touching = neighbours(labels)
    children, heights = merge_neighbours(colours, touching)
    border = np.concatenate([labels[[0, -1]].ravel(), labels[1:-1, [0, -1]].ravel()])
    return RegionTree(
        labels.astype(np.uint16),
        children,
        heights,
        area,
        np.bincount(border, minlength=len(area)),
        colours,
        find_borders(labels, weighted, touching),
    )


@lru_cache(maxsize=REMEMBERED)
def remembered_tree(image: bytes, shape: tuple[int, int, int], *, superpixels: int, lightness: float) -> RegionTree:
    """Return what `grow_tree` does of an image's bytes; an image that comes again is not divided again."""
    pixels = np.frombuffer(image, dtype=np.uint8).reshape(shape)
    return grow_tree(pixels, superpixels=superpixels, lightness=lightness)


def colour_gradient(lab: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
    """Return the length of the change of colour per pixel, after a blur of one pixel against noise."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1)
    across, down = (np.square(cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=SOBEL)) for x in (1, 0))
    planes = [change[..., 0] + change[..., 1] + change[..., 2] for change in (across, down)]
    return np.asarray(np.sqrt(planes[0] + planes[1]))


def merge_neighbours(
    colours: Float64[np.ndarray, "n 3"], pairs: Int64[np.ndarray, "E 2"]
) -> tuple[Int64[np.ndarray, "n-1 2"], Float64[np.ndarray, " n-1"]]:
    """Return the fields `children` and `heights` of a `RegionTree`.

    Two regions may come to differ less than the ones that were merged before them; they get these ones' height, so that
    heights never fall. Higra's tree is scikit-learn's `ward_tree` in a twelfth of the time; it has no root above a
    single superpixel.

    Args:
        colours: mean of each superpixel.
        pairs: superpixels that touch; together they reach all superpixels.
    """
    if len(colours) == 1:
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    graph = higra.UndirectedGraph(len(colours))
    graph.add_edges(pairs[:, 0], pairs[:, 1])
    tree, altitudes = higra.binary_partition_tree_ward_linkage(graph, colours, altitude_correction="max")
    children = np.argsort(tree.parents()[:-1], kind="stable").reshape(-1, 2)  # the last region is the root
    return children, np.sqrt(2 * altitudes[len(colours) :])


def propose_by_merging(
    images: UInt8[Tensor, "N 3 H W"],
    *,
    superpixels: int,
    lightness: float,
    colour_kinds: bool,
    max_count_variation: float,
    min_area: float,
) -> Proposal:
    """Propose the regions that remain when neighbours that differ less than one height for all images are merged.

    The height is chosen on FOR_HEIGHT to 2 FOR_HEIGHT images, so that it takes the same time for any number.
    Regions that shade had divided are one (see `join_shaded`), and so may be touching regions of similar colour (see
    `kinds_by_colour` and `join_alike`).

    Args:
        superpixels, lightness: see `grow_tree`.
        colour_kinds: whether kinds are groups of similar colour (see `kinds_by_colour`); otherwise the cluster stage
            finds them.
        max_count_variation: see `steady_number`.
        min_area: smallest region, as a fraction of the image.
    """
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    grow = partial(remembered_tree, superpixels=superpixels, lightness=lightness)
    rows = range(0, len(pixels), max(1, len(pixels) // FOR_HEIGHT))
    some = dict(zip(rows, on_all_cores(lambda row: grow(pixels[row].tobytes(), pixels[row].shape), rows), strict=True))
    height = steady_height(list(some.values()), max_count_variation=max_count_variation, min_area=min_area)

    def parts_of(row: int) -> UInt16[np.ndarray, "H W"]:
        tree = some[row] if row in some else grow(pixels[row].tobytes(), pixels[row].shape)
        return np.asarray(tree.parts(height, min_area=min_area)[tree.superpixels], dtype=np.uint16)

    merged = on_all_cores(parts_of, range(len(pixels)))
    values = np.stack(list(progress(merged, total=len(pixels), label="regions merged")))
    parts = Proposal(values, kinds_by_colour(values, pixels, lightness=lightness))
    if parts.kinds.any():
        parts = join_alike(parts, max_count_variation=max_count_variation, min_area=min_area)
    return parts if colour_kinds else Proposal(parts.values, np.zeros_like(parts.kinds))


def join_alike(parts: Proposal, *, max_count_variation: float, min_area: float) -> Proposal:
    """Make touching instances of one kind one instance, unless the steady number of parts is smaller then.

    Glare and reflections divide a part differently in every image: without that division the number is steadier. Parts
    that look the same touch in every image. All kinds are known.
    """
    values = parts.values
    of_pixels = np.take_along_axis(parts.kinds, values.reshape(len(values), -1).astype(np.int64), axis=1)
    joined = instances_of_regions(of_pixels.reshape(values.shape), min_area=min_area, kinds_known=True)
    counts = np.stack([way.values.max(axis=(1, 2)) for way in (joined, parts)]).astype(np.int64)
    together, apart = steady_number(counts, max_count_variation=max_count_variation)
    return joined if together >= apart else parts


def steady_height(trees: Sequence[RegionTree], *, max_count_variation: float, min_area: float) -> float:
    """Choose the height with the largest steady number of parts, over all images and the heights up to HOLD around it.

    Of equal ones, take the one with the steadiest number, and of those the number that holds over most heights.
    """
    low = float(np.median([tree.heights[-MOST_PARTS:][0] for tree in trees]))
    high = float(np.median([tree.heights[-1] for tree in trees]))
    if high <= 0:
        return 0.0
    heights = np.geomspace(max(low, high / SPAN), high, HEIGHTS)
    counts = np.stack(list(on_all_cores(partial(count_parts, heights=heights, min_area=min_area), trees)), axis=1)
    around = round(np.log(HOLD) / np.log(heights[1] / heights[0])) if low < high else 0
    padded = np.pad(counts, ((around, around), (0, 0)), mode="edge")
    pooled = sliding_window_view(padded, 2 * around + 1, axis=0).reshape(HEIGHTS, -1)
    run = np.concatenate([[0], np.cumsum((counts[1:] != counts[:-1]).any(axis=1))])
    steady = steady_number(pooled, max_count_variation=max_count_variation)
    best = np.lexsort([-np.bincount(run)[run], variation(pooled).round(9), -steady.round(9)])[0]
    return float(heights[best])


def count_parts(tree: RegionTree, heights: Float64[np.ndarray, " C"], *, min_area: float) -> Int64[np.ndarray, " C"]:
    """Return the number of parts at each height; heights with the same merges below them are divided once."""
    _, first, same = np.unique(tree.merges(heights), return_index=True, return_inverse=True)
    found = [tree.parts(height, min_area=min_area).max() for height in heights[first]]
    return np.array(found, dtype=np.int64)[same]


def steady_number(counts: Int64[np.ndarray, "C N"], *, max_count_variation: float) -> Float64[np.ndarray, " C"]:
    """Return the mean number of parts of N images, discounted by how much it varies, for C ways to divide them.

    Images of one product consist of about the same parts, so the number of true parts varies little; divided too
    finely, it is noise. Divided too coarsely, it may be steadier still (all cells of a battery are one region in every
    image), so not the steadiest number is taken but a larger one, as long as it is also steady.

        mean · max(0, 1 - variation² / limit²)

    Args:
        max_count_variation: that limit, from which on graph merging is not taken.
    """
    discount = np.maximum(1 - np.square(variation(counts) / max_count_variation), 0)
    return np.asarray(counts.mean(axis=1) * discount)


def variation(counts: Int64[np.ndarray, "C N"]) -> Float64[np.ndarray, " C"]:
    """Return the standard deviation over the images relative to the mean; infinite for a mean below FEW_PARTS."""
    mean = counts.mean(axis=1)
    return np.where(mean >= FEW_PARTS, counts.std(axis=1) / np.maximum(mean, 1), np.inf)
