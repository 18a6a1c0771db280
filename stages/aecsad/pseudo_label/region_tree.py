"""All ways to divide one image into regions: small ones, merged two at a time into ever larger ones."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt16
from scipy import sparse
from skimage.segmentation import watershed
from sklearn.cluster import ward_tree

from stages.aecsad.pseudo_label.lab import L_UNIT
from stages.aecsad.pseudo_label.shading import Borders, find_borders, join_shaded, sums

SOBEL = 1 / 8  # makes a Sobel filter's answer the change per pixel


@dataclass(frozen=True)
class RegionTree:
    """The merges of an image's n superpixels.

    Attributes:
        superpixels: 0..n-1 for every pixel.
        children: the two regions that merge m joins; together they are region n + m.
        heights: how unlike the two were; never falls.
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
        """The part that each superpixel belongs to, 1.., after all merges up to that height; 0 for the ground.

        A region is ground when it holds a larger share of the image's border than of the image (products lie inside
        it), or is not larger than `min_area`, a fraction of the image. Parts that shade had divided are joined (see
        `join_shaded`).
        """
        count, merged = len(self.area), int(np.searchsorted(self.heights, height, side="right"))
        region = list(range(count + merged))
        for number, (one, other) in reversed(list(enumerate(self.children[:merged].tolist(), start=count))):
            region[one] = region[other] = region[number]
        _, numbers = np.unique(region[:count], return_inverse=True)
        share = np.bincount(numbers, weights=self.area) / self.area.sum()
        at_rim = np.bincount(numbers, weights=self.rim) / self.rim.sum()
        inside = (at_rim < share) & (share > min_area)
        divided = np.where(inside, np.cumsum(inside), 0)[numbers]
        return join_shaded(divided, self.borders, self.colours, self.area).astype(np.uint16)


def grow_tree(image: UInt8[np.ndarray, "H W 3"], *, superpixels: int, lightness: float) -> RegionTree:
    """Superpixels that follow the edges, merged by Ward's method with their neighbours.

    The superpixels are the basins of a watershed on the colour gradient, from markers on a regular grid. Of all pairs
    of neighbours, those are merged whose merging raises the sum of squared differences to the regions' means least:

        height = sqrt(2 |A| |B| / (|A| + |B|)) ||mean(A) - mean(B)||₂, in superpixels and weighted CIE Lab

    Args:
        image: RGB.
        superpixels: about how many to begin with.
        lightness: weight of L against a and b, below 1 because shading and glare change L and hardly the hue.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) * np.array([L_UNIT, 1, 1], dtype=np.float32)
    basins = watershed(colour_gradient(lab), superpixels)  # type: ignore[no-untyped-call]
    labels = np.asarray(basins, dtype=np.int64) - 1
    area = np.bincount(labels.ravel())
    weighted = (lab * np.array([lightness, 1, 1], dtype=np.float32)).astype(np.float64)
    colours = sums(labels.ravel(), weighted.reshape(-1, 3), len(area)) / area[:, None]
    children, _, _, _, heights = ward_tree(colours, connectivity=neighbours(labels), return_distance=True)
    border = np.concatenate([labels[[0, -1]].ravel(), labels[1:-1, [0, -1]].ravel()])
    return RegionTree(
        labels.astype(np.uint16),
        np.asarray(children, dtype=np.int64),
        np.maximum.accumulate(np.asarray(heights, dtype=np.float64)),  # neighbours' merges may come out of order
        area,
        np.bincount(border, minlength=len(area)),
        colours,
        find_borders(labels, weighted),
    )


def colour_gradient(lab: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
    """Length of the change of colour per pixel, after a blur of one pixel against noise."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=SOBEL) for x in (1, 0))
    return np.asarray(np.sqrt(np.square(across).sum(axis=2) + np.square(down).sum(axis=2)))


def neighbours(labels: Int64[np.ndarray, "H W"]) -> sparse.csr_matrix:
    """Which labels touch, to the side or above each other: a symmetric n x n matrix."""
    one = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    other = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    different: Bool[np.ndarray, " P"] = one != other
    count = int(labels.max()) + 1
    touching = sparse.coo_matrix((np.ones(different.sum()), (one[different], other[different])), shape=(count, count))
    return (touching + touching.T).tocsr()
