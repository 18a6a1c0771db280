"""Defects of a known size."""

import numpy as np
import pytest

from benchmarks.defect_sizes import SIZES, sized_defect
from stages.split.synthetic import KINDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_a_defect_is_as_long_as_it_says_and_no_longer(kind: str, size: int) -> None:
    """In a picture of twice the side it has twice the length; a slanted scratch spans less across."""
    noise = np.random.default_rng(0).integers(0, 255, (512, 700, 3)).astype(np.uint8)
    spans = []
    for seed in range(20):
        drawn = sized_defect(noise, kind, size, np.random.default_rng(seed))
        rows, columns = np.nonzero((drawn != noise).any(axis=2))
        spans.append(
            float(np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1) if kind == "scratch" else np.ptp(columns) + 1)
        )
    assert max(spans) <= 2 * size * (1.1 if kind == "scratch" else 1.0) + 2 * (kind == "scratch")
    assert max(spans) >= 2 * size - 2


def test_a_grey_picture_stays_grey_and_the_original_as_it_was() -> None:
    grey = np.full((64, 64, 3), 90, dtype=np.uint8)
    for kind in ("scratch", "stain"):
        drawn = sized_defect(grey, kind, 32, np.random.default_rng(1))
        assert (drawn == drawn[..., :1]).all()
        assert (drawn != grey).any()
    assert (grey == 90).all()
