"""Patch histograms and Mahalanobis distances against the official CSAD code (commit 2ba199d, float64).

`csad_histogram.npz` holds label maps and the numbers that code gives for them: `full` (80 train images, 5 classes),
`rankdef` (12 train images, 6 classes, the last unused: fewer images than dimensions), `nobg` (no background).
p256 is one cell, p128 are four, ordered top left, bottom left, top right, bottom right. Relative tolerances: 1e-8,
rankdef 1e-6.
"""

from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.model.patch_histogram import fit_histograms
from stages.core.runtime.histograms import histogram_distances, patch_histograms

GOLDEN = np.load(Path(__file__).parent / "csad_histogram.npz", allow_pickle=False)
TOLERANCE = {"full": 1e-8, "nobg": 1e-8, "rankdef": 1e-6}
CASES = [(tag, patch, grid) for tag in TOLERANCE for patch, grid in (("p256", 1), ("p128", 2))]


@pytest.mark.parametrize(("tag", "patch", "grid"), CASES)
def test_histograms_and_their_mean(tag: str, patch: str, grid: int) -> None:
    num_classes = int(GOLDEN[f"{tag}.num_classes"])
    histograms = patch_histograms(GOLDEN[f"{tag}.train"], grid=grid, num_classes=num_classes)
    np.testing.assert_allclose(histograms, GOLDEN[f"{tag}.{patch}.hists_train"], rtol=1e-12)
    np.testing.assert_allclose(histograms.mean(axis=0), GOLDEN[f"{tag}.{patch}.mean"], rtol=1e-12)


@pytest.mark.parametrize(("tag", "patch", "grid"), CASES)
def test_distances(tag: str, patch: str, grid: int) -> None:
    model = fit_histograms(
        GOLDEN[f"{tag}.train"], grid=grid, num_classes=int(GOLDEN[f"{tag}.num_classes"]), shrinkage=0
    )
    for split in ("val", "test"):
        distances = histogram_distances(model, GOLDEN[f"{tag}.{split}"])
        np.testing.assert_allclose(distances, GOLDEN[f"{tag}.{patch}.{split}_dist"], rtol=TOLERANCE[tag])
