"""What patch histograms and their distances must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.aecsad.model.patch_histogram import fit_histograms
from stages.core.runtime.histograms import histogram_distances, patch_histograms

CLASSES = 4


@st.composite
def label_maps(draw: st.DrawFn) -> np.ndarray:
    """Up to 12 random label maps of 8 to 20 pixels a side."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(3, 12))
    shape = (count, draw(st.integers(8, 20)), draw(st.integers(8, 20)))
    return np.random.default_rng(seed).integers(0, CLASSES, shape).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(maps=label_maps(), grid=st.integers(1, 5))
def test_histograms_sum_to_the_covered_share(maps: np.ndarray, grid: int) -> None:
    shares = patch_histograms(maps, grid=grid, num_classes=CLASSES).reshape(len(maps), -1, CLASSES)
    height, width = maps.shape[1:]
    rows, columns = np.arange(height) * grid // height, np.arange(width) * grid // width
    for cell in range(grid**2):
        inside = maps[:, rows == cell % grid][:, :, columns == cell // grid]
        np.testing.assert_allclose(shares[:, cell].sum(axis=1), (inside > 0).mean(axis=(1, 2)), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(maps=label_maps(), grid=st.integers(1, 2), seed=st.integers(0, 1000))
def test_the_order_of_training_images_does_not_matter(maps: np.ndarray, grid: int, seed: int) -> None:
    shuffled = maps[np.random.default_rng(seed).permutation(len(maps))]
    one, other = (fit_histograms(m, grid=grid, num_classes=CLASSES, shrinkage=0.1) for m in (maps, shuffled))
    np.testing.assert_allclose(histogram_distances(one, maps), histogram_distances(other, maps), rtol=1e-8)


@settings(max_examples=30, deadline=None)
@given(maps=label_maps(), grid=st.integers(1, 2), seed=st.integers(0, 1000))
def test_the_numbering_of_classes_does_not_matter(maps: np.ndarray, grid: int, seed: int) -> None:
    renumbering = np.concatenate([[0], 1 + np.random.default_rng(seed).permutation(CLASSES - 1)]).astype(np.uint8)
    one, other = (fit_histograms(m, grid=grid, num_classes=CLASSES, shrinkage=0.1) for m in (maps, renumbering[maps]))
    distances = histogram_distances(other, renumbering[maps])
    np.testing.assert_allclose(distances, histogram_distances(one, maps), rtol=1e-8)


@settings(max_examples=30, deadline=None)
@given(maps=label_maps(), factor=st.integers(2, 3), grid=st.sampled_from([1, 2, 4]))
def test_the_resolution_does_not_matter(maps: np.ndarray, factor: int, grid: int) -> None:
    maps = maps[:, :8, :8]
    larger = maps.repeat(factor, axis=1).repeat(factor, axis=2)
    expected = patch_histograms(maps, grid=grid, num_classes=CLASSES)
    np.testing.assert_allclose(patch_histograms(larger, grid=grid, num_classes=CLASSES), expected, atol=1e-12)


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 1.0])
def test_distances_are_finite_with_fewer_images_than_dimensions(shrinkage: float) -> None:
    maps = np.random.default_rng(0).integers(0, CLASSES, (5, 8, 8)).astype(np.uint8)
    model = fit_histograms(maps, grid=4, num_classes=CLASSES, shrinkage=shrinkage)
    distances = histogram_distances(model, np.random.default_rng(1).integers(0, CLASSES, (7, 8, 8)).astype(np.uint8))
    assert np.isfinite(distances).all()
    assert (distances >= 0).all()
