"""Find the values of images of more than 8 bits that become black and white, from the training images alone.

Cameras save 10, 12 or 14 bits in files of 16. Spread over all 16, little of the grey scale would be left of them.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt16

from stages.core.images.grey_range import between, ends
from stages.core.runtime.depth import DEEPEST
from stages.core.runtime.reading import Window
from stages.split.readers.records import Record

LOG = logging.getLogger(__name__)
FULL_BITS, SHALLOW_BITS = 16, 8
DEAD_PIXELS = 1e-4  # share of an image's values at either end that are not counted
OUTSIDE_BULK = 0.05  # the same, outside what most pixels show
CHUNK = 2**22  # values counted at once
FEW_LEVELS = 8  # of 255
BRIGHTER = 8  # times what half of the images have: three bits more
LEAST_SHARE = 1 / 8  # of the values that some bits can hold; images that use less are spread over what they use


@dataclass(frozen=True)
class Extent:
    """The lowest and the highest value of an image of more than 8 bits, without dead and hot pixels.

    Attributes:
        bulk: how far apart those two are that 90 % of the values lie between.
    """

    low: int
    high: int
    bulk: int


def extent_of(values: UInt16[np.ndarray, "H W C"]) -> Extent:
    """Measure the values of grey or of all colours; alpha, the last of two or four channels, is no such value."""
    colours = values[:, :, :3] if values.shape[2] > 1 else values
    counts = np.zeros(DEEPEST + 1, dtype=np.int64)
    for some in np.array_split(colours.ravel(), 1 + colours.size // CHUNK):  # counting takes eight bytes a value
        counts += np.bincount(some, minlength=DEEPEST + 1)
    below = np.cumsum(counts)

    def without(share: float) -> tuple[int, int]:
        few = int(share * below[-1])
        low, high = np.searchsorted(below, few, side="right"), np.searchsorted(below, below[-1] - few, side="left")
        return int(low), int(high)

    (low, high), (first, last) = without(DEAD_PIXELS), without(OUTSIDE_BULK)
    return Extent(low, high, bulk=last - first)


def find_grey_range(extents: Sequence[Extent]) -> Window:
    """Return the range of images with these values.

    It is what the fewest bits can hold, from 8 on: 0 to 4095 for values up to 3000, so that 12 bits look as they do
    saved with 8. Where the values use less than LEAST_SHARE of that (thermal cameras: 29000 to 30000), it is
    what they use and half as much on either side.

    Args:
        extents: of the training images, at least one.
    """
    low, high = min(one.low for one in extents), max(one.high for one in extents)
    bits = max(SHALLOW_BITS, high.bit_length())
    if high - low >= LEAST_SHARE * 2**bits or bits == SHALLOW_BITS:
        return between(0, 2**bits - 1)
    margin = max(high - low, 2**SHALLOW_BITS / 2) / 2
    return between(low - margin, high + margin)


def choose_grey_range(records: Sequence[Record], extents: dict[str, Extent], *, given: Window | None) -> Window | None:
    """Return what a product's deep images are spread over, and log it; None where it has none.

    Args:
        records: with their splits.
        extents: of its images of more than 8 bits, by path.
        given: the range that params.yaml names.
    """
    if not extents:
        if given is not None:
            LOG.warning(
                "%g to %g are named in params.yaml, and no image is of 16 bits: they change nothing (a DICOM file has "
                "a window of its own)",
                *ends(given),
            )
        return None
    train = [extents.get(record.path) for record in records if record.split == "train"]
    deep = [one for one in train if one is not None]
    if given is not None:
        warn_of_clipped(deep, given)
        return given
    if not deep:
        LOG.warning(
            "%d images have more than 8 bits, and none of train has: 0 to %d become black to white. Save all alike, or "
            "name their `bits` in the product's entry of params.yaml",
            len(extents), DEEPEST,
        )  # fmt: skip
        return between(0, DEEPEST)
    if len(deep) < len(train):
        LOG.warning(
            "train mixes %d images of more than 8 bits with %d of 8 bits: are they equally bright? Save all alike, or "
            "name their `bits` in the product's entry of params.yaml",
            len(deep), len(train) - len(deep),
        )  # fmt: skip
    found = find_grey_range(deep)
    log_range(found, highest=max(one.high for one in deep))
    warn_of_few_levels(deep, found)
    warn_of_brighter(deep)
    return found


def log_range(found: Window, *, highest: int) -> None:
    """Say what the range is; a warning where it is not all of 16 bits."""
    black, white = ends(found)
    if (black, white) == (0, DEEPEST):
        LOG.info("16-bit images: 0 to %d become black to white", DEEPEST)
        return
    LOG.warning(
        "16-bit images: no value of train exceeds %d, so %g to %g become black to white, here and in predictions. If "
        "that is wrong, name their `bits` or their `grey_range` in the product's entry of params.yaml",
        highest, black, white,
    )  # fmt: skip


def warn_of_few_levels(deep: Sequence[Extent], grey_range: Window) -> None:
    """Warn where most of the training images' values come out nearly equal, as with a border of zeros around them."""
    black, white = ends(grey_range)
    levels = 255 * float(np.median([one.bulk for one in deep])) / (white - black)
    if levels < FEW_LEVELS:
        LOG.warning(
            "16-bit images: 90 %% of their values come out within %.1f of 255 grey levels. If that is not just a plain "
            "ground, name what becomes black and white as `grey_range` in the product's entry of params.yaml",
            levels,
        )


def warn_of_brighter(deep: Sequence[Extent]) -> None:
    """Warn where a few images are so much brighter than most that they may have been saved with more bits."""
    half, most = int(np.median([one.high for one in deep])), max(one.high for one in deep)
    if half * BRIGHTER <= most:
        LOG.warning(
            "16-bit images: half of the images of train have no value above %d, and others have up to %d, which decide "
            "what becomes white. If these were saved with more bits, save all alike",
            half, most,
        )  # fmt: skip


def warn_of_clipped(deep: Iterable[Extent], given: Window) -> None:
    """Warn where the range that params.yaml names does not hold the training images' values."""
    black, white = ends(given)
    outside = sum(one.low < black or one.high > white for one in deep)
    if outside:
        LOG.warning("%d images of train have values outside the %g to %g that params.yaml names", outside, black, white)
