"""Planted defects are small, visible and leave the original alone."""

import numpy as np
import pytest

from benchmarks.planted_defects import KINDS, plant


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_a_defect_is_small_and_there(kind: str, seed: int) -> None:
    picture = np.random.default_rng(seed + 100).integers(0, 255, (200, 256, 3), dtype=np.uint8)
    before = picture.copy()
    planted = plant(picture, kind, np.random.default_rng(seed))
    np.testing.assert_array_equal(picture, before)
    rows, columns = np.nonzero((planted != picture).any(axis=2))
    assert len(rows) >= 5
    assert max(np.ptp(rows), np.ptp(columns)) <= 0.2 * 200
