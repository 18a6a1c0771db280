"""Damaged copies: every kind is seen, stays where it is drawn, and adds no colour to a grey picture."""

import numpy as np
import pytest

from stages.aecsad.hybrid_fusion.damage import KINDS, Spot, damaged


def picture(*, grey: bool = False) -> np.ndarray:
    values = np.random.default_rng(0).integers(60, 200, (6, 8, 1 if grey else 3)).repeat(16, axis=0).repeat(16, axis=1)
    return np.broadcast_to(values, (96, 128, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_seen_and_reported_where_it_is(kind: str) -> None:
    original = picture()
    before = original.copy()
    sizes = []
    for seed in range(12):
        copy, changed = damaged(original, kind, np.random.default_rng(seed))
        assert copy.shape == original.shape and copy.dtype == np.uint8
        np.testing.assert_array_equal(changed, np.abs(copy.astype(int) - original).max(axis=-1) > 12)
        sizes.append(int(changed.sum()))
    assert min(sizes) >= 4
    assert max(sizes) < changed.size / 2
    assert len(set(sizes)) > 6  # sizes and places differ
    np.testing.assert_array_equal(original, before)
    again, _ = damaged(original, kind, np.random.default_rng(11))
    np.testing.assert_array_equal(again, copy)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_stays_near_its_spot_and_grey_stays_grey(kind: str) -> None:
    original = picture(grey=True)
    for seed in range(6):
        copy = KINDS[kind](original, Spot(40.0, 50.0, 10.0), np.random.default_rng(seed))
        assert (copy == copy[..., :1]).all()
        rows, columns = np.nonzero((copy != original).any(axis=-1))
        assert (np.hypot(rows - 50.0, columns - 40.0) < 24).all()


def test_a_picture_without_anything_on_it_cannot_lose_a_piece() -> None:
    flat = np.full((64, 64, 3), 90, dtype=np.uint8)
    copy, changed = damaged(flat, "removed piece", np.random.default_rng(0))
    np.testing.assert_array_equal(copy, flat)
    assert not changed.any()
