"""Find which parts of different images are of one kind: those of similar colour, where colours form clear groups.

Where they form none, the light of each image may differ from that of the others, which is compensated.
"""

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt16
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_score

TINT = 1.25  # a channel's gain against the mean of the three, at most: more is the product's colour, not the light's
DARK = 20  # grey levels: darker places show noise, not light
STEP = 4  # every so many rows and columns suffice
L_UNIT = 100 / 255  # OpenCV's 8-bit L is 0..255; a and b keep their unit
MOST_KINDS = 12
CLEAR = 0.5  # mean silhouette from which groups count as found (Kaufman and Rousseeuw, 1990, table 4)
SAMPLE = 2000  # parts that give the groups


def illumination_gains(pixels: UInt8[np.ndarray, "N H W 3"]) -> Float64[np.ndarray, "N 3"]:
    """Estimate the factor of each image's light for each channel, relative to the images' median at every place.

    Most places of a product's image show the same in all images, so the median of their ratios is that of exposure and
    white balance, whatever the other places show. All three factors are 1 where one channel differs from the others by
    more than light can explain: then more than half of the image has a colour of its own. They are also 1 where all
    places are dark.

    Args:
        pixels: RGB.
    """
    levels = pixels[:, ::STEP, ::STEP].reshape(len(pixels), -1, 3).astype(np.float64)
    common = np.median(levels, axis=0)
    lit = common.min(axis=1) >= DARK
    if not lit.any():
        return np.ones((len(pixels), 3))
    gains = np.log(np.median(levels[:, lit].clip(min=1) / common[lit], axis=1))
    tint = np.abs(gains - gains.mean(axis=1, keepdims=True)).max(axis=1)
    gains[tint > np.log(TINT)] = 0
    return np.asarray(np.exp(gains))


def kinds_by_colour(
    values: UInt16[np.ndarray, "N H W"], pixels: UInt8[np.ndarray, "N H W 3"], *, lightness: float
) -> UInt8[np.ndarray, "N instances+1"]:
    """Return the kind of each instance, 1.., by its mean colour; 0 for all where the colours form no clear groups.

    Where colours as they are form none, those under the light that the images have in common are tried, see
    `illumination_gains`.

    Args:
        values: instance maps, numbered 1.. without gaps in each image.
        pixels: RGB.
        lightness: weight of L against a and b, below 1 because light and shade change L more than the hue.
    """
    present = np.arange(int(values.max(initial=0)) + 1) <= values.max(axis=(1, 2))[:, None]
    present[:, 0] = False
    kinds = np.zeros(present.shape, dtype=np.uint8)
    for gains in (np.ones((len(pixels), 3)), illumination_gains(pixels)):
        kinds[present] = clear_groups(mean_colours(values, pixels, gains, lightness=lightness)[present])
        if kinds.any():
            break
    return kinds


def mean_colours(
    values: UInt16[np.ndarray, "N H W"],
    pixels: UInt8[np.ndarray, "N H W 3"],
    gains: Float64[np.ndarray, "N 3"],
    *,
    lightness: float,
) -> Float64[np.ndarray, "N instances+1 3"]:
    """Return each instance's CIE Lab, L weighted, in images divided by their gains; 0 where an image lacks it."""
    width = int(values.max(initial=0)) + 1
    weights = np.array([lightness * L_UNIT, 1, 1])
    colours = []
    for image, gain, numbers in zip(pixels, gains, values, strict=True):
        even = (image / gain).round().clip(0, 255).astype(np.uint8)
        lab = cv2.cvtColor(even, cv2.COLOR_RGB2LAB).reshape(-1, 3) * weights
        area = np.bincount(numbers.ravel(), minlength=width)
        sums = np.stack([np.bincount(numbers.ravel(), weights=channel, minlength=width) for channel in lab.T], axis=1)
        colours.append(sums / np.maximum(area, 1)[:, None])
    return np.stack(colours)


def clear_groups(points: Float64[np.ndarray, "M D"]) -> Int64[np.ndarray, " M"]:
    """Group the points by Ward's method, 1.., into as many as have the largest mean silhouette; 0 if below CLEAR.

    Of many points, SAMPLE evenly spaced ones are grouped, and the others join the nearest group's mean: Ward's method
    keeps the distances of all pairs in memory.
    """
    sample = points[np.linspace(0, len(points) - 1, min(len(points), SAMPLE)).round().astype(np.int64)]
    if len(np.unique(sample.round(6), axis=0)) <= 2:
        return np.zeros(len(points), dtype=np.int64)
    tree = linkage(sample, method="ward")
    divisions = [fcluster(tree, number, criterion="maxclust") for number in range(2, MOST_KINDS + 1)]
    divisions = [groups for groups in divisions if 2 <= groups.max() < len(sample)]
    scores = [float(silhouette_score(sample, groups)) for groups in divisions]
    if max(scores, default=0) < CLEAR:
        return np.zeros(len(points), dtype=np.int64)
    groups = np.asarray(divisions[int(np.argmax(scores))], dtype=np.int64)
    if len(sample) == len(points):
        return groups
    means = np.stack([sample[groups == number].mean(axis=0) for number in range(1, groups.max() + 1)])
    return np.asarray(cdist(points, means).argmin(axis=1) + 1, dtype=np.int64)
