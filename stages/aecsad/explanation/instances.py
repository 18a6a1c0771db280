"""Components as connected regions of one class."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from stages.core.artifacts.explanations import Box


@dataclass(frozen=True)
class Instance:
    """One component.

    Attributes:
        area: share of the image.
        centre: (down, right) of its pixels' mean, as shares of height and width.
        box: as in explanations.
    """

    area: float
    centre: tuple[float, float]
    box: Box


def find_instances(label_map: UInt8[np.ndarray, "H W"], component: int, *, min_area: float) -> list[Instance]:
    """The 8-connected regions of a class, in reading order of their upper left corners.

    Args:
        min_area: share of the image below which a region is not counted.
    """
    height, width = label_map.shape
    count, _, stats, centres = cv2.connectedComponentsWithStats((label_map == component).astype(np.uint8))
    found = []
    for number in range(1, count):  # 0 is everything else
        left, top, across, down, pixels = stats[number].tolist()
        if pixels >= min_area * label_map.size:
            box = (top / height, left / width, (top + down) / height, (left + across) / width)
            x, y = centres[number].tolist()
            found.append(Instance(pixels / label_map.size, ((y + 0.5) / height, (x + 0.5) / width), box))
    return sorted(found, key=lambda instance: instance.box[:2])
