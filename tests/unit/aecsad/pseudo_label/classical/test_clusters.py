"""Dense clusters: descriptors, the nearest centre and the ground, worked out by hand."""

import numpy as np
import pytest
import torch

from stages.aecsad.pseudo_label.classical.clusters import (
    fit_projection,
    kinds_without_ground,
    lab_cells,
    nearest_centres,
    repeat_weights,
    scale_variance,
)
from tests.unit.aecsad.drawings import stack


def test_clusters_over_represented_at_the_rim_are_ground() -> None:
    labels = np.full((1, 10, 10), 1, dtype=np.uint8)
    labels[0, 2:8, 2:8] = 0
    labels[0, 4:6, 4:6] = 2
    kinds = kinds_without_ground(labels, clusters=4)  # cluster 3 does not occur
    assert np.unique(kinds[labels == 1]).tolist() == [0]
    assert np.unique(kinds[labels == 0]).tolist() == [1]
    assert np.unique(kinds[labels == 2]).tolist() == [2]


def test_pixels_go_to_the_nearest_centre() -> None:
    cells = np.zeros((4, 4, 2), dtype=np.float32)
    cells[:, 2:] = (3.0, 4.0)
    labels = nearest_centres(cells, np.array([[3, 4], [0, 0], [9, 9]], dtype=np.float32), size=8)
    assert np.unique(labels[:, :4]).tolist() == [1]
    assert np.unique(labels[:, 4:]).tolist() == [0]


def test_projection_keeps_the_weightiest_direction() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn((2, 8, 8, 3), generator=random)
    features[..., 0] *= 100  # the scale must not matter
    features[..., 2] = 7.0
    projection = fit_projection(features, repeat_weights([1, 2], [1.0, 3.0]), dimensions=1)
    found = projection(features).flatten()
    expected = 3 * (features[..., 1] - features[..., 1].mean()) / features[..., 1].std()
    assert torch.corrcoef(torch.stack([found, expected.flatten()]))[0, 1] > 0.99
    assert found.std() == pytest.approx(3, rel=0.02)


def test_variance_is_shared_as_asked() -> None:
    values = np.random.default_rng(0).normal(3, 10, (2, 4, 4, 5)).astype(np.float32)
    scaled = values.copy()
    scale_variance(scaled, 0.25)
    assert scaled.var(axis=(0, 1, 2)).sum() == pytest.approx(0.25, rel=1e-5)
    constant = np.ones((2, 4, 4, 5), dtype=np.float32)
    scale_variance(constant, 0.25)
    assert not constant.any()


def test_lab_of_cells() -> None:
    image = np.full((8, 8, 3), 119, dtype=np.uint8)  # L = 50 in CIE Lab
    image[:, 4:] = 255
    cells = lab_cells(stack(image), 2)[0]
    np.testing.assert_allclose(cells[:, 0, 0], 50 / 25, atol=0.02)
    np.testing.assert_allclose(cells[:, 1, 0], 100 / 25, atol=0.02)
