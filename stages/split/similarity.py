"""Which images are nearly the same picture: their hash and their thumbnails agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from pydantic import Field

from stages.core.run.params import Params

THUMBNAIL, SIDE, KEPT = 64, 32, 8  # pixels, pixels, frequencies
BLOCKS = 8  # blocks a side of a thumbnail, whose means rule most pairs out at once
CHUNK = 256  # images compared with all others at once


class LikenessParams(Params):
    """Section `near_duplicates`, the same for all who look for them.

    Attributes:
        hash_distance: bits in which the hashes of near-duplicates may differ, of 64.
        pixel_difference: mean difference of their thumbnails' grey values, in levels of 255.
    """

    hash_distance: int = Field(ge=0, le=16)
    pixel_difference: float = Field(gt=0)


@dataclass(frozen=True)
class Likeness:
    """Of one image.

    Attributes:
        thumbnail: grey values.
        bits: perceptual hash (pHash): signs of low frequencies against their median.
    """

    thumbnail: UInt8[np.ndarray, "64 64"]
    bits: Bool[np.ndarray, " 64"]


def likeness_of(grey: UInt8[np.ndarray, "H W"]) -> Likeness:
    """Thumbnail and hash of grey values.

    The hash is that of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010: the lowest
    8 x 8 frequencies of the cosine transform of 32 x 32 grey values.
    """
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:KEPT, :KEPT].ravel()
    return Likeness(
        np.asarray(cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)),
        np.asarray(low > np.median(low[1:])),
    )


def find_alike(looks: Sequence[Likeness], *, hash_distance: int, pixel_difference: float) -> list[tuple[int, int]]:
    """Positions (a, b), a < b, of near-duplicates, in order; see `LikenessParams` for the limits.

    The hash alone would also find images of the same product in the same place.
    """
    if not looks:
        return []
    signs = np.stack([look.bits for look in looks]).astype(np.float32) * 2 - 1
    thumbnails = np.stack([look.thumbnail for look in looks])
    blocks = block_means(thumbnails)
    found = []
    for start in range(0, len(looks), CHUNK):
        close = (signs.shape[1] - signs[start : start + CHUNK] @ signs.T) / 2 <= hash_distance
        for row, columns in enumerate(close):
            first = start + row
            others = np.flatnonzero(columns[first + 1 :]) + first + 1
            # a mean of differences is never smaller than the difference of means: this loses no pair
            others = others[np.abs(blocks[others] - blocks[first]).mean(axis=1) <= pixel_difference]
            found += [
                (first, other)
                for other in others.tolist()
                if cv2.norm(thumbnails[first], thumbnails[other], cv2.NORM_L1) <= pixel_difference * THUMBNAIL**2
            ]
    return found


def block_means(thumbnails: UInt8[np.ndarray, "N 64 64"]) -> Float32[np.ndarray, "N 64"]:
    """Means of 8 x 8 blocks."""
    side = THUMBNAIL // BLOCKS
    blocks = thumbnails.reshape(-1, BLOCKS, side, BLOCKS, side)
    means: Float32[np.ndarray, "N 64"] = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(thumbnails), -1)
    return means
