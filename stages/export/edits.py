"""Edited pictures for measuring a variant: a part of a normal validation image cut out, or pasted a second time."""

import cv2
import numpy as np
from jaxtyping import UInt8

from stages.core.images.regions import Region, connected_regions

SMALLEST = 0.002  # share of the image of a part that is edited
WIDER = 5  # pixels of the label map by which what is cut out is larger than the part
RADIUS = 3  # pixels around, of which the hole is filled

Picture = UInt8[np.ndarray, "H W 3"]


def edit(picture: Picture, label_map: UInt8[np.ndarray, "S S"], *, number: int) -> Picture | None:
    """Return the picture with one part missing (even numbers) or twice (odd ones); None where it shows no part.

    Args:
        picture: stays as it is.
        label_map: of the picture.
        number: of the picture; chooses the part, too.
    """
    regions = connected_regions(label_map, min_area=SMALLEST * label_map.size)
    if not regions:
        return None
    region = regions[number // 2 % len(regions)]
    return cut_out(picture, region) if number % 2 == 0 else pasted(picture, region, number)


def mask_of(region: Region, picture: Picture, *, wider: int = 0) -> UInt8[np.ndarray, "H W"]:
    """Return the part's pixels in the picture."""
    mask = region.mask.astype(np.uint8)
    if wider:
        mask = np.asarray(cv2.dilate(mask, np.ones((wider, wider), dtype=np.uint8)), dtype=np.uint8)
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def cut_out(picture: Picture, region: Region) -> Picture:
    """Fill the part by what surrounds it."""
    hole = mask_of(region, picture, wider=WIDER)
    return np.asarray(cv2.inpaint(picture, hole, RADIUS, cv2.INPAINT_TELEA), dtype=np.uint8)


def pasted(picture: Picture, region: Region, number: int) -> Picture:
    """Paste the part at another place, half of the picture away."""
    mask = mask_of(region, picture) > 0
    height, width = mask.shape
    moved = (height // 2, 0) if number % 4 == 1 else (0, width // 2)
    result = picture.copy()
    there = np.roll(mask, moved, axis=(0, 1))
    result[there] = np.roll(picture, moved, axis=(0, 1))[there]
    return result
