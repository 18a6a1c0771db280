"""Explain an anomaly map: its hottest spot, and which component normal images and this one show there."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stages.core.io.explanations import Box, Explanation

TINY = 1e-12  # spread of maps that are all the same
COVERED = 10  # a component is named where components cover at least one in so many pixels of a spot


@dataclass(frozen=True)
class NormalSpots:
    """What a branch's map looks like for normal images.

    Attributes:
        branch: column of the score table that the map belongs to.
        mean, spread: of the hottest cell in normal validation images, as the students have seen the training images.
        usual: the class that normal images show at each pixel; 0 is the background.
    """

    branch: str
    mean: float
    spread: float
    usual: UInt8[np.ndarray, "H W"]


def fit_spots(branch: str, validation: Float[np.ndarray, "N h w"], usual: UInt8[np.ndarray, "H W"]) -> NormalSpots:
    """Fit on the maps of normal validation images; `usual`: see `usual_classes`."""
    peaks = validation.max(axis=(1, 2)).astype(np.float64)
    return NormalSpots(branch, float(peaks.mean()), max(float(peaks.std()), TINY), usual)


def usual_classes(label_maps: UInt8[np.ndarray, "N H W"], *, num_classes: int) -> UInt8[np.ndarray, "H W"]:
    """Return the class that most label maps show at each pixel; of equally frequent ones the lowest."""
    counts = np.stack([(label_maps == label).sum(axis=0) for label in range(num_classes)])
    return np.asarray(counts.argmax(axis=0), dtype=np.uint8)


def explain_map(
    normal: NormalSpots, anomaly_map: Float[np.ndarray, "h w"], label_map: UInt8[np.ndarray, "H W"]
) -> Explanation:
    """Explain the hottest cell and the connected cells around it that are at least half as hot.

    Args:
        label_map: the classes of this image.
    """
    values = np.asarray(anomaly_map, dtype=np.float64)
    peak = np.unravel_index(int(values.argmax()), values.shape)
    half = (values[peak] + np.median(values)) / 2
    regions = cv2.connectedComponents((values >= half).astype(np.uint8))[1]
    rows, columns = np.nonzero(regions == regions[peak])
    height, width = values.shape
    box: Box = (
        float(rows.min() / height),
        float(columns.min() / width),
        float((rows.max() + 1) / height),
        float((columns.max() + 1) / width),
    )
    expected, seen = (most_frequent(inside(one, box)) for one in (normal.usual, label_map))
    deviation = (float(values[peak]) - normal.mean) / normal.spread
    return Explanation(
        normal.branch, expected or seen or None, "hot_spot", box, float(values[peak]), normal.mean, deviation,
        (expected, seen),
    )  # fmt: skip


def inside(label_map: UInt8[np.ndarray, "H W"], box: Box) -> UInt8[np.ndarray, "h w"]:
    """Cut the box out of a label map."""
    height, width = label_map.shape
    top, left = int(box[0] * height), int(box[1] * width)
    return label_map[top : max(round(box[2] * height), top + 1), left : max(round(box[3] * width), left + 1)]


def most_frequent(labels: UInt8[np.ndarray, "h w"]) -> int:
    """Return the most frequent component class, 0 where components cover less than one in COVERED pixels."""
    counts = np.bincount(labels.ravel())
    if counts[1:].sum() < labels.size / COVERED:
        return 0
    return int(counts[1:].argmax()) + 1
