"""Instances measured, cut out and described, each step worked out by hand."""

import cv2
import numpy as np
import pytest
import torch

from stages.aecsad.model.appearance import eight_views, project, twenty_views
from stages.aecsad.model.describe import crop_instances, describe_instances, measure_instances


def test_measurements_of_a_pixel_and_a_rectangle(two_instances: tuple[np.ndarray, np.ndarray]) -> None:
    table = measure_instances(*two_instances)
    assert table.image.tolist() == [1, 1]
    assert table.number.tolist() == [1, 2]
    assert table.area.tolist() == [1, 32]
    assert table.centre.tolist() == [[19, 0], [5.5, 11.5]]
    side = 4 / np.sqrt(12)  # a rectangle of w x h has the second moments w²/12 and h²/12
    np.testing.assert_allclose(table.axes, [[side, side], [8 * side, 4 * side]])
    np.testing.assert_allclose(table.lab, [[100, 0, 0], [53.24, 80.09, 67.2]], atol=0.05)


def test_measurements_turn_with_the_image(two_instances: tuple[np.ndarray, np.ndarray]) -> None:
    maps, images = (np.repeat(array, 14, axis=0) for array in two_instances)  # more than one chunk
    table = measure_instances(maps, images)
    turned = measure_instances(np.rot90(maps, axes=(1, 2)).copy(), np.rot90(images, axes=(1, 2)).copy())
    assert table.image.tolist() == turned.image.tolist() == np.repeat(np.arange(14, 28), 2).tolist()
    np.testing.assert_allclose(table.axes, turned.axes)


def test_no_instances() -> None:
    table = measure_instances(np.zeros((2, 5, 5), dtype=np.uint16), np.zeros((2, 5, 5, 3), dtype=np.uint8))
    assert table.area.shape == (0,)
    assert table.axes.shape == (0, 2)


def test_crops_hold_one_instance_on_black_at_one_size(two_instances: tuple[np.ndarray, np.ndarray]) -> None:
    maps, images = two_instances
    maps, images = maps.repeat(4, axis=1).repeat(4, axis=2), images.repeat(4, axis=1).repeat(4, axis=2)
    table = measure_instances(maps, images)
    crops = crop_instances(maps, images, table, size=32)
    assert crops.shape == (2, 32, 32, 3)
    rows, columns = np.nonzero(crops[1][:, :, 0])
    assert rows.mean() == pytest.approx(15.5, abs=0.5)
    assert columns.mean() == pytest.approx(15.5, abs=0.5)
    assert np.ptp(columns) == pytest.approx(2 * np.ptp(rows), abs=2)
    assert not crops[1][:, :, 1:].any()  # red only: the white pixel is another instance
    assert np.hypot(np.ptp(rows) + 1, np.ptp(columns) + 1) == pytest.approx(32 * np.sqrt(12) / 4, abs=2)


def test_eight_views_are_the_symmetries_of_the_square() -> None:
    crop = torch.arange(27, dtype=torch.uint8).reshape(1, 3, 3, 3)
    views = {view.numpy().tobytes() for view in eight_views(crop)}
    assert len(views) == 8
    assert {view.numpy().tobytes() for view in eight_views(crop.rot90(1, dims=(2, 3)))} == views
    assert {view.numpy().tobytes() for view in eight_views(crop.flip(2))} == views


def test_twenty_views_turn_a_circle_with_both_ends() -> None:
    crop = torch.zeros(1, 3, 17, 17, dtype=torch.uint8)
    crop[0, :, 4, 8] = 200  # above the centre
    views = twenty_views(torch.cat([crop, crop]))
    assert views.shape == (40, 3, 17, 17)
    assert torch.equal(views[0:1], crop)
    assert torch.equal(views[38:39], crop)  # 360 degrees
    assert all((views[row] > 0).any() for row in range(40))
    assert len({views[row].numpy().tobytes() for row in range(0, 40, 2)}) > 10


def test_each_group_of_descriptors_weighs_the_same() -> None:
    maps = np.zeros((1, 40, 40), dtype=np.uint16)
    for number in range(1, 5):
        cv2.circle(maps[0], (10 * number - 5, 20), number, number, -1)
    table = measure_instances(maps, np.random.default_rng(0).integers(0, 255, (1, 40, 40, 3)).astype(np.uint8))
    appearance = np.random.default_rng(1).normal(5, 50, (4, 10)).astype(np.float32)
    descriptors = describe_instances(table, appearance, dimensions=2)
    assert descriptors.shape == (4, 4 + 3 + 2)
    for group in (slice(0, 4), slice(4, 7), slice(7, 9)):
        assert descriptors[:, group].var(axis=0).sum() == pytest.approx(1)


def test_the_projection_is_random_linear_and_seeded() -> None:
    features = np.random.default_rng(0).normal(size=(5, 2048)).astype(np.float32)
    points = project(features, dimensions=512, seed=1)
    assert points.shape == (5, 512)
    np.testing.assert_allclose(project(2 * features, dimensions=512, seed=1), 2 * points, rtol=1e-5)
    assert not np.allclose(project(features, dimensions=512, seed=2), points)
    expected = 0.01 * np.linalg.norm(features, axis=1) * np.sqrt(512)  # of a sum of independent weights
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), expected, rtol=0.15)
