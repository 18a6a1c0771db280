"""Connected regions of a label map: wherever one component of one class is counted, measured, cut out or painted.

Code that needs no more than the number of the region at each pixel, of a thresholded map or a mask, asks OpenCV itself.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Integer

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Region:
    """One 8-connected region of one class.

    Attributes:
        label: its class.
        area: pixels.
        centre: (x, y), the mean of its pixels' coordinates.
        box: (top, left, bottom, right) in pixels; the last two are exclusive.
        inside: which pixels of the box belong to it.
        size: (height, width) of the label map.
    """

    label: int
    area: int
    centre: tuple[float, float]
    box: Box
    inside: Bool[np.ndarray, "h w"]
    size: tuple[int, int]

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """Its pixels in the whole label map."""
        mask = np.zeros(self.size, dtype=bool)
        self.paint(mask, 1)
        return mask

    @property
    def share(self) -> float:
        """Its area as a share of the label map's."""
        return self.area / (self.size[0] * self.size[1])

    def paint(self, target: Integer[np.ndarray, "H W"] | Bool[np.ndarray, "H W"], value: int) -> None:
        """Set its pixels of an array of the label map's size, in place."""
        top, left, bottom, right = self.box
        target[top:bottom, left:right][self.inside] = value


def connected_regions(
    labels: Integer[np.ndarray, "H W"] | Bool[np.ndarray, "H W"], *, min_area: float = 0.0
) -> list[Region]:
    """Find the 8-connected regions of every class above 0.

    Args:
        labels: a label map, or a mask, which is class 1.
        min_area: pixels; smaller regions are excluded.

    Returns:
        By class, and within a class in the reading order of their first pixels.
    """
    found = []
    for label in np.flatnonzero(np.bincount(labels.ravel())[1:]) + 1:
        mask = (labels == label).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        left, top = left - left % 2, top - top % 2  # OpenCV numbers regions by blocks of 2x2 pixels
        around = mask[top : top + height + 1, left : left + width + 1]
        _, numbers, stats, centres = cv2.connectedComponentsWithStats(around, connectivity=8)
        for number in np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= min_area) + 1:  # 0 is everything else
            across, down, wide, high, area = stats[number].tolist()
            x, y = centres[number].tolist()
            inside = numbers[down : down + high, across : across + wide] == number
            box = (top + down, left + across, top + down + high, left + across + wide)
            found.append(Region(int(label), area, (left + x, top + y), box, inside, labels.shape))
    return found
