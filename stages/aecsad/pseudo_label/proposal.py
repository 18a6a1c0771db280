"""What every mask proposer returns, and how label maps become that."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8, UInt16

from stages.aecsad.pseudo_label.foundation.tags import TagReport
from stages.core.images.regions import connected_regions


@dataclass(frozen=True)
class Proposal:
    """Instances found in N images.

    Attributes:
        values, kinds: as in `stages.core.io.components.ComponentMaps`.
        tags: the words the proposer went by; None for one that reads no words.
        contrast: that background difference chose from the images; None for the others.
    """

    values: UInt16[np.ndarray, "N H W"]
    kinds: UInt8[np.ndarray, "N instances+1"]
    tags: TagReport | None = None
    contrast: float | None = None

    def __getitem__(self, rows: slice | list[int]) -> "Proposal":
        """Return the instances of some images."""
        return Proposal(self.values[rows], self.kinds[rows], self.tags, self.contrast)


def instances_of_regions(labels: UInt8[np.ndarray, "N H W"], *, min_area: float, kinds_known: bool) -> Proposal:
    """Number the 8-connected regions of each label above 0; small ones become background.

    Args:
        min_area: smallest region, as a fraction of the image (CSAD drops masks of at most 0.001).
        kinds_known: whether the labels mean the same in every image and so are the instances' kinds.
    """
    values = np.zeros(labels.shape, dtype=np.uint16)
    kinds_of_images: list[list[int]] = []
    for labelled, numbered in zip(labels, values, strict=True):
        smallest = min_area * labelled.size
        regions = [region for region in connected_regions(labelled, min_area=smallest) if region.area > smallest]
        for number, region in enumerate(regions, start=1):
            region.paint(numbered, number)
        kinds_of_images.append([0, *(region.label if kinds_known else 0 for region in regions)])
    kinds = np.zeros((len(labels), max(map(len, kinds_of_images), default=1)), dtype=np.uint8)
    for row, found in zip(kinds, kinds_of_images, strict=True):
        row[: len(found)] = found
    return Proposal(values, kinds)
