"""Explain an anomaly map: its hottest spot, and which component normal images and this one show there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.core.runtime.explanation import Box, Explanation
from stages.core.runtime.regions import region_at

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

COVERED = 10  # a component is named where components cover at least one in so many pixels of a spot
NEAR = 0.05  # image sides from a spot to a component that it is next to, such as a needle's tip to its pin


@dataclass(frozen=True)
class NormalSpots:
    """What a branch's map looks like for normal images.

    Attributes:
        branch: column of the score table that the map belongs to.
        mean, spread: of the hottest cell in normal validation images, as the students have seen the training images.
    """

    branch: str
    mean: float
    spread: float


def explain_map(
    normal: NormalSpots,
    anomaly_map: Float[np.ndarray, "h w"],
    label_map: UInt8[np.ndarray, "H W"],
    usual: UInt8[np.ndarray, "H W"],
) -> Explanation:
    """Explain the hottest cell and the connected cells around it that are at least half as hot.

    Where neither normal images nor this one show a component there, what lies next to the spot in this image is named,
    then what normally does: masks of components often miss thin and transparent parts. `classes` then stays (0, 0).

    Args:
        normal: of the same branch.
        anomaly_map: of this image.
        label_map: the classes of this image.
        usual: the class that normal images show at each pixel; 0 is the background.
    """
    values = np.asarray(anomaly_map, dtype=np.float64)
    row, column = divmod(int(values.argmax()), values.shape[1])
    peak = float(values[row, column])
    box = region_at(values >= (peak + np.median(values)) / 2, row, column).box
    expected, seen = (most_frequent(inside(one, box)) for one in (usual, label_map))
    component = expected or seen or next_to(label_map, box) or next_to(usual, box)
    return Explanation(
        normal.branch, component or None, "hot_spot", box, peak, normal.mean,
        (peak - normal.mean) / normal.spread, (expected, seen),
    )  # fmt: skip


def inside(label_map: UInt8[np.ndarray, "H W"], box: Box) -> UInt8[np.ndarray, "h w"]:
    """Cut the box out of a label map."""
    height, width = label_map.shape
    top, left = int(box[0] * height), int(box[1] * width)
    return label_map[top : max(round(box[2] * height), top + 1), left : max(round(box[3] * width), left + 1)]


def next_to(label_map: UInt8[np.ndarray, "H W"], box: Box) -> int:
    """Return the most frequent component class within NEAR of a box, 0 where there is too little of any.

    As many pixels are enough as name a component inside the box.
    """
    top, left, bottom, right = box
    around = (max(top - NEAR, 0.0), max(left - NEAR, 0.0), min(bottom + NEAR, 1.0), min(right + NEAR, 1.0))
    return most_frequent(inside(label_map, around), of=inside(label_map, box).size)


def most_frequent(labels: UInt8[np.ndarray, "h w"], *, of: int | None = None) -> int:
    """Return the most frequent component class, 0 where components cover less than one in COVERED pixels.

    Args:
        labels: where it is looked for.
        of: number of these pixels; all of the labels by default.
    """
    counts = np.bincount(labels.ravel())
    if counts[1:].sum() < (labels.size if of is None else of) / COVERED:
        return 0
    return int(counts[1:].argmax()) + 1
