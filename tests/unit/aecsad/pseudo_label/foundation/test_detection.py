"""The two-stage filter against full-resolution loops over arrays, and cases worked out by hand."""

import time
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from stages.aecsad.pseudo_label.foundation.detection import (
    filter_masks,
    overlap,
    regions,
    split_regions,
    without_repetition,
)
from stages.aecsad.pseudo_label.foundation.masks import Masks, encode, intersections, joined, paint
from tests.table import violations

LIMITS = {"min_inside": 0.9, "max_ground": 0.95, "max_covered": 0.9, "min_area": 0.001}


def box(top: int, left: int, bottom: int, right: int, *, size: int = 100) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def masks_of(*arrays: np.ndarray) -> Masks:
    return encode(arrays, height=arrays[0].shape[0], width=arrays[0].shape[1])


def naive_ratio(one: np.ndarray, other: np.ndarray) -> float:
    shared = np.logical_and(one, other).sum()
    return float(shared / min(one.sum(), other.sum())) if shared else 0.0


def naive_filter(
    masks: Sequence[np.ndarray], named: np.ndarray, grounds: Sequence[np.ndarray], *, inside: bool
) -> list[np.ndarray]:
    """The same decisions by logical operations on whole images, one pair after another."""
    if inside:
        masks = [mask for mask in masks if naive_ratio(named, mask) > LIMITS["min_inside"]]
    for ground in grounds:
        masks = [mask for mask in masks if naive_ratio(mask, ground) < LIMITS["max_ground"]]
    masks = sorted(masks, key=lambda mask: -mask.sum())[:255]
    masks = sorted((mask for mask in masks if mask.mean() > LIMITS["min_area"]), key=lambda mask: mask.sum())
    union = np.zeros_like(named)
    taken, waiting = [], []
    for mask in masks:
        if naive_ratio(union, mask) < LIMITS["max_covered"]:
            union = union | mask
            taken.append(mask)
        else:
            waiting.append(mask)
    for mask in waiting:
        if (union & mask).sum() / mask.sum() < LIMITS["max_covered"]:
            union = union | mask
            taken.append(mask)
    return taken


def ellipses(count: int, *, height: int, width: int, seed: int) -> list[np.ndarray]:
    """Random ellipses of all sizes, many inside one another."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    found = []
    for _ in range(count):
        axes = np.exp(random.uniform(np.log(0.02), np.log(0.3), 2)) * height
        across, down = x - random.uniform(0.1, 0.9) * width, y - random.uniform(0.1, 0.9) * height
        found.append((across / axes[0]) ** 2 + (down / axes[1]) ** 2 < 1)
    return found


def test_decisions_are_those_of_loops_over_arrays() -> None:
    def check(inside: bool, seed: int) -> None:
        arrays = ellipses(60, height=120, width=150, seed=seed)
        named = ellipses(6, height=120, width=150, seed=seed + 100)
        grounds = ellipses(2, height=120, width=150, seed=99)
        expected = naive_filter(arrays, np.any(named, axis=0), grounds, inside=inside)
        found = filter_masks(
            masks_of(*arrays), named=masks_of(*named) if inside else None, grounds=masks_of(*grounds), **LIMITS
        )
        assert 0 < len(expected) < 60
        assert [mask.tobytes() for mask in found] == [mask.tobytes() for mask in expected]

    assert violations(check, product([False, True], range(3))) == []


@pytest.mark.slow
def test_at_full_size_it_is_twenty_times_faster() -> None:
    """100 masks of 1600 x 1280; both sides start from what they store."""
    arrays = ellipses(100, height=1280, width=1600, seed=0)
    named, grounds = ellipses(60, height=1280, width=1600, seed=1), ellipses(2, height=1280, width=1600, seed=2)
    masks, named_masks, ground_masks = masks_of(*arrays), masks_of(*named), masks_of(*grounds)
    started = time.process_time()
    expected = naive_filter(arrays, np.any(named, axis=0), grounds, inside=True)
    middle = time.process_time()
    for _ in range(5):
        found = filter_masks(masks, named=named_masks, grounds=ground_masks, **LIMITS)
    ended = time.process_time()
    assert [mask.tobytes() for mask in found] == [mask.tobytes() for mask in expected]
    assert (middle - started) / ((ended - middle) / 5) > 20


def test_intersections_are_counts_of_pixels() -> None:
    rows, columns = masks_of(box(0, 0, 10, 10), box(50, 50, 60, 61)), masks_of(box(5, 5, 20, 20), box(0, 0, 100, 100))
    assert intersections(rows, columns).tolist() == [[25, 100], [0, 110]]
    assert overlap(rows, columns).tolist() == [[0.25, 1.0], [0.0, 1.0]]
    assert intersections(rows, columns.only([])).shape == (2, 0)


def test_a_whole_comes_back_when_its_parts_do_not_fill_it() -> None:
    whole, small, large = box(10, 10, 60, 60), box(12, 12, 22, 22), box(10, 10, 58, 60)
    assert [int(m.sum()) for m in without_repetition(masks_of(whole, small), max_covered=0.9, min_area=0.001)] == [
        100,
        2500,
    ]
    kept = without_repetition(masks_of(whole, large), max_covered=0.9, min_area=0.001)
    assert [int(mask.sum()) for mask in kept] == [2400]  # 96 % of the whole are covered


def test_tiny_masks_and_no_mask_at_all() -> None:
    tiny = masks_of(box(0, 0, 2, 5))  # 0.1 % exactly
    assert len(without_repetition(tiny, max_covered=0.9, min_area=0.001)) == 0
    nothing = Masks(100, 100, ())
    found = filter_masks(nothing, named=nothing, grounds=nothing, **LIMITS)
    assert len(found) == 0
    assert not paint(found, size=32, min_area=0.001).any()


def test_nothing_is_inside_named_things_that_are_not_there() -> None:
    mask, nothing = masks_of(box(10, 10, 60, 60)), Masks(100, 100, ())
    assert len(filter_masks(mask, named=nothing, grounds=nothing, **LIMITS)) == 0
    assert len(filter_masks(mask, named=None, grounds=nothing, **LIMITS)) == 1


def test_regions_without_specks_frames_and_complements() -> None:
    mask = box(10, 10, 20, 20) | box(40, 40, 60, 60) | box(80, 80, 87, 87)  # 49 pixels are a speck
    assert [int(region.sum()) for region in regions(mask)] == [100, 400]
    frame = ~box(2, 2, 98, 98)
    assert [int(region.sum()) for region in split_regions(masks_of(frame, mask))] == [100, 400]


def test_small_masks_are_painted_over_large_ones() -> None:
    whole, part, hidden = box(0, 0, 80, 80), box(10, 10, 40, 40), box(10, 10, 39, 39)
    found = paint(joined([masks_of(part), masks_of(whole), masks_of(hidden)]), size=50, min_area=0.02)
    assert found.max() == 2  # what is left of `part` around `hidden` is less than 2 %
    assert found[2, 2] == 1
    assert found[10, 10] == 2
    assert (found[5:19, 5:19] == 2).all()
    assert not found[45:].any()


def test_masks_take_little_memory() -> None:
    masks = masks_of(*ellipses(10, height=1280, width=1600, seed=3))
    assert sum(len(run["counts"]) for run in masks.runs) < 10 * 10_000
