"""AUPRO against anomalib's own."""

from pathlib import Path

import numpy as np
import pytest

from stages.evaluation.pixel_counts import PixelCounts, aupro


def test_aupro_equals_anomalib() -> None:
    with np.load(Path(__file__).parent / "anomalib_aupro.npz") as golden:
        counts = PixelCounts.empty()
        for values, mask in zip(golden["maps"], golden["masks"], strict=True):
            counts.count(values.astype(np.float32), mask)
        measured = [aupro(counts, limit=limit) for limit in golden["limits"].tolist()]
        assert measured == pytest.approx(golden["aupro"].tolist(), abs=1e-6)  # theirs sums in float32
