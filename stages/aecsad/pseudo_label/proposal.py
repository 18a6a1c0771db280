"""What every mask proposer returns, and how label maps become it."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from stages.aecsad.pseudo_label.foundation.tags import TagReport


@dataclass(frozen=True)
class Proposal:
    """Instances found in N images.

    Attributes:
        values, kinds: as in `stages.core.io.components.ComponentMaps`.
        tags: the words the proposer went by; None for one that reads no words.
    """

    values: UInt16[np.ndarray, "N H W"]
    kinds: UInt8[np.ndarray, "N instances+1"]
    tags: TagReport | None = None


def instances_of_regions(labels: UInt8[np.ndarray, "N H W"], *, min_area: float, kinds_known: bool) -> Proposal:
    """Number the 8-connected regions of each label above 0; small ones become background.

    Args:
        min_area: smallest region, as a fraction of the image (CSAD drops masks of at most 0.001).
        kinds_known: whether the labels mean the same in every image and so are the instances' kinds.
    """
    values = np.zeros(labels.shape, dtype=np.uint16)
    kinds_of_images: list[list[int]] = []
    for labelled, numbered in zip(labels, values, strict=True):
        kinds_of_images.append([0])
        for kind in np.unique(labelled[labelled > 0]):
            regions = large_regions(labelled == kind, min_pixels=min_area * labelled.size)
            inside = regions > 0
            numbered[inside] = regions[inside] + len(kinds_of_images[-1]) - 1
            kinds_of_images[-1] += [int(kind) if kinds_known else 0] * int(regions.max())
    kinds = np.zeros((len(labels), max(map(len, kinds_of_images), default=1)), dtype=np.uint8)
    for row, found in zip(kinds, kinds_of_images, strict=True):
        row[: len(found)] = found
    return Proposal(values, kinds)


def large_regions(mask: Bool[np.ndarray, "H W"], *, min_pixels: float) -> UInt16[np.ndarray, "H W"]:
    """The 8-connected regions of more than `min_pixels` pixels, numbered from 1 in reading order."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] > min_pixels
    kept[0] = False  # the background
    numbers: np.ndarray = np.where(kept, np.cumsum(kept), 0).astype(np.uint16)
    return np.asarray(numbers[regions])
