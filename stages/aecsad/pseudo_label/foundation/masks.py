"""Many masks of one image in little memory: run-length encoded, with exact areas and intersections."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt16
from pycocotools import mask as coco

MOSTLY = 0.5  # of a pixel of the smaller map is covered by the mask


@dataclass(frozen=True)
class Masks:
    """Masks of the same height and width; about 1 to 10 kB each instead of 2 MB at 1600 x 1280.

    Attributes:
        runs: COCO's compressed run lengths, column by column.
    """

    height: int
    width: int
    runs: tuple[dict[str, Any], ...]

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.runs)

    @property
    def areas(self) -> Int64[np.ndarray, " N"]:
        """Pixels in each mask."""
        return np.asarray(coco.area(list(self.runs)), dtype=np.int64).reshape(len(self.runs))

    def __iter__(self) -> Iterator[Bool[np.ndarray, "H W"]]:
        """Yield the masks as arrays, one at a time."""
        return (decode(run) for run in self.runs)

    def only(self, chosen: Iterable[int] | Bool[np.ndarray, " N"]) -> "Masks":
        """Return the chosen masks, by number or by a row of flags."""
        if isinstance(chosen, np.ndarray) and chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        return Masks(self.height, self.width, tuple(self.runs[i] for i in chosen))

    def union(self) -> "Masks":
        """Return one mask that covers what any covers; none where there is none."""
        return self if len(self) < 2 else Masks(self.height, self.width, (coco.merge(list(self.runs)),))


def encode(masks: Iterable[Bool[np.ndarray, "H W"]], *, height: int, width: int) -> Masks:
    """Encode masks one after another; empty ones are excluded."""
    runs = [coco.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks if mask.any()]
    return Masks(height, width, tuple(runs))


def decode(run: dict[str, Any]) -> Bool[np.ndarray, "H W"]:
    """Return one mask as an array."""
    with warnings.catch_warnings():  # pycocotools 2.0.11 has NumPy 1's signature of __array__
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(coco.decode(run), dtype=bool)


def joined(parts: Sequence[Masks]) -> Masks:
    """Return all masks of several sets of one image."""
    return Masks(parts[0].height, parts[0].width, tuple(run for part in parts for run in part.runs))


def intersections(rows: Masks, columns: Masks) -> Int64[np.ndarray, "R C"]:
    """Count the pixels that two masks share, for every pair, run by run without a decoded mask.

    COCO's `iou` against a "crowd" is intersection / area of the row's mask, from which the count follows exactly.
    """
    if not len(rows) or not len(columns):
        return np.zeros((len(rows), len(columns)), dtype=np.int64)
    share = np.asarray(coco.iou(list(rows.runs), list(columns.runs), [1] * len(columns)))
    return np.asarray(np.rint(share * rows.areas[:, None]), dtype=np.int64)


def paint(masks: Masks, *, size: int, min_area: float) -> UInt16[np.ndarray, "size size"]:
    """Paint a map of instances numbered 1.. without gaps, smaller masks over larger ones, at `size` x `size` pixels.

    Args:
        min_area: instances of no more than this share of the map are excluded, and so are covered ones.
    """
    found = np.zeros((size, size), dtype=np.uint16)
    order = np.argsort(-masks.areas, kind="stable")
    for number, mask in enumerate(masks.only(order), start=1):
        small = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        found[small >= MOSTLY] = number
    areas = np.bincount(found.ravel(), minlength=len(masks) + 1)
    kept = areas > min_area * size * size
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0).astype(np.uint16)[found])
