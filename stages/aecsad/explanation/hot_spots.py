"""What an anomaly map says: its hottest spot, and which component normal images show there."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stages.aecsad.explanation.words import where
from stages.core.artifacts.explanations import Box, Explanation

BRANCH = "student_teacher"


def usual_classes(label_maps: UInt8[np.ndarray, "N H W"], *, num_classes: int) -> UInt8[np.ndarray, "H W"]:
    """The class that most of the label maps show at each pixel; of equally frequent ones the lowest."""
    counts = np.stack([(label_maps == label).sum(axis=0) for label in range(num_classes)])
    return np.asarray(counts.argmax(axis=0), dtype=np.uint8)


def explain_map(
    anomaly_map: Float[np.ndarray, "h w"],
    *,
    mean: float,
    spread: float,
    usual: UInt8[np.ndarray, "H W"],
    label_map: UInt8[np.ndarray, "H W"],
) -> Explanation:
    """The hottest cell and the connected cells around it that are at least half as hot.

    Args:
        mean, spread: of the hottest cell in normal validation images.
        usual: the class that normal images show at each pixel; 0 is the background.
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
    expected, seen = (most_frequent(inside(one, box)) for one in (usual, label_map))
    deviation = (float(values[peak]) - mean) / spread
    return Explanation(
        BRANCH, expected or seen or None, "hot_spot", box, float(values[peak]), mean, deviation,
        f"unusual look at the {where(box)}, {described(expected, seen)}",
    )  # fmt: skip


def described(expected: int, seen: int) -> str:
    """Which component is meant; 0 stands for none."""
    if expected == seen:
        return f"on component {seen}" if seen else "on no component"
    names = [f"component {label}" if label else "no component" for label in (expected, seen)]
    return f"where normal images show {names[0]} and this one {names[1]}"


def inside(label_map: UInt8[np.ndarray, "H W"], box: Box) -> UInt8[np.ndarray, "h w"]:
    """The part of a label map in a box."""
    height, width = label_map.shape
    top, left = int(box[0] * height), int(box[1] * width)
    return label_map[top : max(round(box[2] * height), top + 1), left : max(round(box[3] * width), left + 1)]


def most_frequent(labels: UInt8[np.ndarray, "h w"]) -> int:
    """The most frequent component class, 0 where less than a tenth is covered by components."""
    counts = np.bincount(labels.ravel())
    if counts[1:].sum() < labels.size / 10:
        return 0
    return int(counts[1:].argmax()) + 1
