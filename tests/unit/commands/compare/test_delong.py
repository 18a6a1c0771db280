"""Standard errors of AUROCs and of their differences: by hand, and by the definition with all pairs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from commands.compare.differences import delong_covariance, delong_difference, delong_variance, placements


def test_placements_by_hand() -> None:
    above, below = placements(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0]))
    assert above.tolist() == pytest.approx([1.5 / 3, 1.0])
    assert below.tolist() == pytest.approx([1.0, 1.5 / 2, 0.5])


def test_delong_by_hand() -> None:
    # Placements as above: AUROC 3/4; var(1/2, 1) = 1/8, var(1, 3/4, 1/2) = 1/16.
    normal, anomalous = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])
    assert delong_variance(normal, anomalous) == pytest.approx(1 / 8 / 2 + 1 / 16 / 3)
    assert np.isnan(delong_variance(normal, anomalous[:1]))


def test_delong_equals_the_kernel() -> None:
    """The definition with all pairs, for two methods with ties."""
    generator = np.random.default_rng(5)
    normal, anomalous = generator.normal(size=(2, 17)).round(1), generator.normal(0.8, size=(2, 11)).round(1)
    normal[1] += 0.7 * normal[0]
    anomalous[1] += 0.7 * anomalous[0]
    kernel = [(a[:, None] > n) + 0.5 * (a[:, None] == n) for n, a in zip(normal, anomalous, strict=True)]
    expected = np.zeros((2, 2))
    for r in range(2):
        for s in range(2):
            ten = np.cov(kernel[r].mean(axis=1), kernel[s].mean(axis=1))[0, 1]
            one = np.cov(kernel[r].mean(axis=0), kernel[s].mean(axis=0))[0, 1]
            expected[r, s] = ten / 11 + one / 17
    assert delong_covariance(normal, anomalous) == pytest.approx(expected, abs=1e-14)
    difference = delong_difference(normal, anomalous)
    aurocs = [roc_auc_score([0] * 17 + [1] * 11, [*n, *a]) for n, a in zip(normal, anomalous, strict=True)]
    assert difference.value == pytest.approx(aurocs[1] - aurocs[0])
    assert difference.standard_error == pytest.approx(np.sqrt(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1]))


def test_the_same_scores_differ_by_nothing() -> None:
    generator = np.random.default_rng(0)
    normal, anomalous = generator.normal(size=20), generator.normal(size=30)
    found = delong_difference(np.stack([normal, 3 * normal]), np.stack([anomalous, 3 * anomalous]))
    assert (found.value, found.standard_error) == (0.0, 0.0)
