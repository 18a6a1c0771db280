"""Propose small parts on plain ground: what differs in colour from the ground around it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from stages.aecsad.pseudo_label.choice import trial_rows
from stages.aecsad.pseudo_label.classical.colour import L_UNIT
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.core.run.console import progress
from stages.core.run.parallel import on_all_cores

LOG = logging.getLogger(__name__)
CONTRASTS = np.geomspace(5, 80, 25)  # tried ones, in units of CIE Lab; from about twice a camera's noise
WEAKEST = 0.5  # of that contrast: where a part's pixels end


def propose_by_background(
    images: UInt8[Tensor, "N 3 H W"], *, window: float, lightness: float, edge: float, min_area: float,
    contrast: float | None = None,
) -> Proposal:  # fmt: skip
    """Propose regions that differ from the local background.

    The background is a median over a window; it loses whatever covers less than half of it, and so sees no part
    larger than window²/2. Where the ground changes (a tray's edge) the median lags behind, hence the distance to
    the nearest of nine medians, shifted by half a window each way:

        d(x) = min_s ||W (Lab(x) - median(x + s))||₂,  s in {-w/2, 0, w/2}²,  W = diag(lightness, 1, 1)

    Regions with d > contrast / 2 that hold a pixel with d > contrast are kept (hysteresis). A part's outline is where
    d falls to a fraction of the part's own contrast, which is its mean d above that value: shadows and halos differ
    from the ground less than half as much as the part that casts them. Holes are filled. The contrast comes from the
    images, see `agreed_contrast`.

    Args:
        images: RGB.
        window: side of the window as a fraction of the image's height.
        lightness: weight of L against a and b, below 1 because shadows and glare change L more than the hue.
        edge: that fraction. Half is where a blurred edge is.
        min_area: smallest region, as a fraction of the image.
        contrast: that was found in other images of the product; None to find it in these.
    """
    side = round(window * images.shape[2]) // 2 * 2 + 1
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    if contrast is None:
        few = pixels[list(trial_rows(len(pixels)))]
        distances = list(on_all_cores(partial(background_distance, window=side, lightness=lightness), few))
        contrast = agreed_contrast(distances, edge=edge, min_area=min_area)
    LOG.info("background difference: what differs by %.1f from the ground is a part", contrast)

    def mask_of(image: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
        distance = background_distance(image, window=side, lightness=lightness)
        return differing(distance, contrast=contrast, edge=edge)

    masks = list(progress(on_all_cores(mask_of, pixels), total=len(pixels), label="difference to the background"))
    found = instances_of_regions(np.stack(masks).astype(np.uint8), min_area=min_area, kinds_known=False)
    return replace(found, contrast=contrast)


def agreed_contrast(distances: Sequence[Float32[np.ndarray, "H W"]], *, edge: float, min_area: float) -> float:
    """Choose the contrast at which the images agree on a number of parts that also holds for other contrasts.

    That number k has the largest k times the sum over contrasts of the share of images with exactly k parts: grain and
    shadows, which too low a contrast finds, are another number in every image and at every contrast, and faint parts,
    which too high a one loses, are missing in the product with k. The contrast with the largest share is taken; of
    equal ones, the middle of the longest run, farthest from both.
    """
    counts = []
    for contrast in progress(CONTRASTS, total=len(CONTRASTS), label="contrasts"):
        masks = np.stack([differing(distance, contrast=contrast, edge=edge) for distance in distances])
        found = instances_of_regions(masks.astype(np.uint8), min_area=min_area, kinds_known=False).values
        counts.append(found.max(axis=(1, 2)))
    numbers = np.arange(np.max(counts) + 1)
    shares = (np.array(counts)[:, :, None] == numbers).mean(axis=1)
    share = shares[:, (numbers * shares.sum(axis=0)).argmax()]
    runs = np.split(np.arange(len(share)), np.flatnonzero(np.diff(share)) + 1)
    longest = max(runs, key=lambda run: (share[run[0]], len(run)))
    return float(CONTRASTS[longest[len(longest) // 2]])


def background_distance(
    image: UInt8[np.ndarray, "H W 3"], *, window: int, lightness: float
) -> Float32[np.ndarray, "H W"]:
    """Return d(x) of `propose_by_background`; `window` is odd, in pixels."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    scale = np.array([lightness * L_UNIT, 1, 1], dtype=np.float32)
    reach = window // 2
    median = cv2.copyMakeBorder(cv2.medianBlur(lab, window), reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    height, width = image.shape[:2]
    # Plane by plane: numpy sums over an axis of three values at a time ten times slower.
    own, around = (np.ascontiguousarray((pixels * scale).transpose(2, 0, 1)) for pixels in (lab, median))
    nearest = np.full((height, width), np.inf, dtype=np.float32)
    for top in (0, reach, 2 * reach):
        for left in (0, reach, 2 * reach):
            squares = np.square(own - around[:, top : top + height, left : left + width])
            np.minimum(nearest, squares[0] + squares[1] + squares[2], out=nearest)
    return np.sqrt(nearest)


def differing(distance: Float32[np.ndarray, "H W"], *, contrast: float, edge: float) -> Bool[np.ndarray, "H W"]:
    """Return the parts that `propose_by_background` describes, as one mask."""
    low = WEAKEST * contrast
    _, regions = cv2.connectedComponents((distance > low).astype(np.uint8), connectivity=8)
    strong = distance > contrast
    count = np.bincount(regions[strong], minlength=int(regions.max()) + 1)
    own = np.bincount(regions[strong], weights=distance[strong], minlength=len(count)) / np.maximum(count, 1)
    outline = np.where(count > 0, np.maximum(edge * own, low), np.inf)
    outline[0] = np.inf  # the ground
    return fill_holes(distance > outline[regions])


def fill_holes(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Add to a mask what it encloses: what no path of pixels that touch at a side leads from to the image's border."""
    _, regions = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    rim = np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()])
    outside = np.zeros(int(regions.max()) + 1, dtype=bool)
    outside[rim] = True
    outside[0] = False  # the mask itself
    return np.asarray(~outside[regions])
