"""Propose small parts on plain ground: what differs in colour from the ground around it."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage
from torch import Tensor

from stages.aecsad.pseudo_label.lab import L_UNIT
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.core.running.console import progress


def propose_by_background(
    images: UInt8[Tensor, "N 3 H W"],
    *,
    window: float,
    lightness: float,
    low: float,
    high: float,
    edge: float,
    min_area: float,
) -> Proposal:
    """Regions that differ from the local background.

    The background is a median over a window; it loses whatever covers less than half of it, and so sees no part
    larger than window²/2. Where the ground changes (a tray's edge) the median lags behind, hence the distance to
    the nearest of nine medians, shifted by half a window each way:

        d(x) = min_s ||W (Lab(x) - median(x + s))||₂,  s in {-w/2, 0, w/2}²,  W = diag(lightness, 1, 1)

    Regions with d > low that hold a pixel with d > high are kept (hysteresis). A part's outline lies where d falls to
    a fraction of the part's contrast, which is its mean d above `high`: shadows and halos differ from the ground less
    than half as much as the part that casts them. Holes are filled.

    Args:
        images: RGB.
        window: side of the window as a fraction of the image's height.
        lightness: weight of L against a and b, below 1 because shadows and glare change L and hardly the hue.
        low, high: thresholds on d, in units of CIE Lab.
        edge: that fraction. Half is where a blurred edge lies; thin things (a needle of two pixels) lose contrast by
            the blur and need less.
        min_area: smallest region, as a fraction of the image.
    """
    side = round(window * images.shape[2]) // 2 * 2 + 1
    pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
    masks = [
        differing(background_distance(image, window=side, lightness=lightness), low=low, high=high, edge=edge)
        for image in progress(pixels, total=len(pixels), label="difference to the background")
    ]
    return instances_of_regions(np.stack(masks).astype(np.uint8), min_area=min_area, kinds_known=False)


def background_distance(
    image: UInt8[np.ndarray, "H W 3"], *, window: int, lightness: float
) -> Float32[np.ndarray, "H W"]:
    """d(x) of `propose_by_background`; `window` is odd, in pixels."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    scale = np.array([lightness * L_UNIT, 1, 1], dtype=np.float32)
    reach = window // 2
    median = cv2.copyMakeBorder(cv2.medianBlur(lab, window), reach, reach, reach, reach, cv2.BORDER_REPLICATE) * scale
    height, width = image.shape[:2]
    weighted = lab * scale
    nearest = np.full((height, width), np.inf, dtype=np.float32)
    for top in (0, reach, 2 * reach):
        for left in (0, reach, 2 * reach):
            squared = np.square(weighted - median[top : top + height, left : left + width]).sum(axis=2)
            np.minimum(nearest, squared, out=nearest)
    return np.sqrt(nearest)


def differing(distance: Float32[np.ndarray, "H W"], *, low: float, high: float, edge: float) -> Bool[np.ndarray, "H W"]:
    """The parts that `propose_by_background` describes, as one mask."""
    _, regions = cv2.connectedComponents((distance > low).astype(np.uint8), connectivity=8)
    strong = distance > high
    count = np.bincount(regions[strong], minlength=int(regions.max()) + 1)
    contrast = np.bincount(regions[strong], weights=distance[strong], minlength=len(count)) / np.maximum(count, 1)
    outline = np.where(count > 0, np.maximum(edge * contrast, low), np.inf)
    outline[0] = np.inf  # the ground
    filled: Bool[np.ndarray, "H W"] = ndimage.binary_fill_holes(distance > outline[regions])
    return filled
