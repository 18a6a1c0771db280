"""Which of SAM's many masks are parts: not the ground, inside the named things, and not all over each other."""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64

from stages.aecsad.pseudo_label.foundation.masks import Masks, encode, intersections

MIN_PIXELS = 50  # CSAD's smallest region
WHOLE_IMAGE = 0.95  # a region whose box is larger is the ground or a frame
MOST = 255  # largest masks that are looked at; CSAD's limit by its 8-bit files


def filter_masks(
    masks: Masks,
    *,
    named: Masks | None,
    grounds: Masks,
    min_inside: float,
    max_ground: float,
    max_covered: float,
    min_area: float,
) -> Masks:
    """The two stages of CSAD's and AeCSAD's filter (Hsieh & Lai, BMVC 2024; AeCSAD thesis 4.2.1).

        r(A, B) = |A ∩ B| / min(|A|, |B|)

    Stage 1 keeps a mask m when r(union of named, m) > min_inside, unless `named` is None, and
    r(g, m) < max_ground for every ground g. Stage 2 is `without_repetition`.

    Args:
        masks: connected regions, see `split_regions`.
        named: masks of the things that the prompts name, which may be none; None takes masks wherever they lie.
        grounds: masks of the ground: SAM's at the image's corners, and that of the background prompts.
        min_area: masks of no more than this share of the image are left out.
    """
    kept = overlap(masks, grounds).max(axis=1, initial=0) < max_ground
    if named is not None:
        kept &= overlap(masks, named.union()).max(axis=1, initial=0) > min_inside
    first = masks.only(kept)
    largest = first.only(np.argsort(-first.areas, kind="stable")[:MOST])
    return without_repetition(largest, max_covered=max_covered, min_area=min_area)


def overlap(masks: Masks, others: Masks) -> Float64[np.ndarray, "N M"]:
    """r(mask, other) for every pair, in [0, 1]."""
    smaller = np.minimum(masks.areas[:, None], others.areas[None, :])
    return np.asarray(intersections(masks, others) / np.maximum(smaller, 1))


def without_repetition(masks: Masks, *, max_covered: float, min_area: float) -> Masks:
    """Greedy choice from small to large of masks that add something.

    A mask is taken when r(union so far, mask) < max_covered, so that small masks inside a large one keep it out. Then
    those left over are taken, in the same order, whose own covered share is below `max_covered`: the large ones come
    back where the small ones do not fill them.
    """
    areas = masks.areas
    order = [int(i) for i in np.argsort(areas, kind="stable") if areas[i] > min_area * masks.height * masks.width]
    taken: list[int] = []
    waiting: list[int] = []
    covered = Masks(masks.height, masks.width, ())
    for number in order:
        share = covered_pixels(covered, masks, number) / max(min(int(covered.areas.sum()), int(areas[number])), 1)
        if share < max_covered:
            taken.append(number)
            covered = masks.only([number]) if not len(covered) else add(covered, masks, number)
        else:
            waiting.append(number)
    for number in waiting:
        if covered_pixels(covered, masks, number) / int(areas[number]) < max_covered:
            taken.append(number)
            covered = add(covered, masks, number)
    return masks.only(taken)


def covered_pixels(covered: Masks, masks: Masks, number: int) -> int:
    """Pixels of one mask that the union so far covers."""
    return int(intersections(masks.only([number]), covered).sum())


def add(covered: Masks, masks: Masks, number: int) -> Masks:
    """The union with one more mask."""
    return Masks(masks.height, masks.width, covered.runs + masks.only([number]).runs).union()


def split_regions(masks: Masks) -> Masks:
    """The 4-connected regions of all masks, one mask decoded at a time; specks and frames are left out.

    The published code also takes the complement of a mask as one of its regions; that is no part.
    """
    parts = (region for mask in masks for region in regions(mask))
    return encode(parts, height=masks.height, width=masks.width)


def regions(mask: Bool[np.ndarray, "H W"]) -> Iterator[Bool[np.ndarray, "H W"]]:
    """The regions of one mask that are more than a speck and less than the frame of the image."""
    _, numbered, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    boxes: Int64[np.ndarray, " n"] = stats[:, cv2.CC_STAT_WIDTH].astype(np.int64) * stats[:, cv2.CC_STAT_HEIGHT]
    fit = (boxes < WHOLE_IMAGE * mask.size) & (stats[:, cv2.CC_STAT_AREA] > MIN_PIXELS)
    return (numbered == number for number in range(1, len(stats)) if fit[number])
