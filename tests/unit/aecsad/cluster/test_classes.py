"""Component classes and typical images: each step worked out by hand."""

import re

import cv2
import numpy as np
import pytest
import torch
from sklearn.cluster import MeanShift

from stages.aecsad.cluster.classes import by_frequency, find_classes, find_modes, paint_classes
from stages.aecsad.cluster.composition import (
    Compositions,
    composition_spread,
    group_compositions,
    judge,
    nearest_members,
)
from stages.aecsad.cluster.describe import crop_instances, describe_instances, eight_views, measure_instances
from stages.core.io.components import ComponentMaps

LIMITS = {"max_spread": 0.1, "max_count_variation": 0.5}


def two_instances() -> tuple[np.ndarray, np.ndarray]:
    """Three images: none, a red 4 x 8 rectangle (instance 2) and a white pixel (instance 1), none."""
    maps, images = np.zeros((3, 20, 20), dtype=np.uint16), np.zeros((3, 20, 20, 3), dtype=np.uint8)
    maps[1, 10:14, 2:10], images[1, 10:14, 2:10] = 2, (255, 0, 0)
    maps[1, 0, 19], images[1, 0, 19] = 1, 255
    return maps, images


def test_measurements_of_a_pixel_and_a_rectangle() -> None:
    table = measure_instances(*two_instances())
    assert table.image.tolist() == [1, 1]
    assert table.number.tolist() == [1, 2]
    assert table.area.tolist() == [1, 32]
    assert table.centre.tolist() == [[19, 0], [5.5, 11.5]]
    side = 4 / np.sqrt(12)  # a rectangle of w x h has the second moments w²/12 and h²/12
    np.testing.assert_allclose(table.axes, [[side, side], [8 * side, 4 * side]])
    np.testing.assert_allclose(table.lab, [[100, 0, 0], [53.24, 80.09, 67.2]], atol=0.05)


def test_measurements_turn_with_the_image() -> None:
    maps, images = (np.repeat(array, 14, axis=0) for array in two_instances())  # more than one chunk
    table = measure_instances(maps, images)
    turned = measure_instances(np.rot90(maps, axes=(1, 2)).copy(), np.rot90(images, axes=(1, 2)).copy())
    assert table.image.tolist() == turned.image.tolist() == np.repeat(np.arange(14, 28), 2).tolist()
    np.testing.assert_allclose(table.axes, turned.axes)


def test_no_instances() -> None:
    table = measure_instances(np.zeros((2, 5, 5), dtype=np.uint16), np.zeros((2, 5, 5, 3), dtype=np.uint8))
    assert table.area.shape == (0,)
    assert table.axes.shape == (0, 2)


def test_crops_hold_one_instance_on_black_at_one_size() -> None:
    maps, images = two_instances()
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


def test_mean_shift_finds_the_clusters_also_outside_its_sample() -> None:
    random = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [60, 50, 40])
    points = np.array([[0, 0], [5, 0], [0, 5]])[truth] + random.normal(0, 0.2, (150, 2))
    found = find_classes(points, bandwidth=None, quantile=0.2, sample=75, seed=0)
    assert len(set(zip(truth.tolist(), found.tolist(), strict=True))) == 3
    assert by_frequency(found, min_count=45).tolist() == [1] * 60 + [2] * 50 + [0] * 40


def test_modes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    points = random.normal(0, 1, (200, 3)) + 6 * random.integers(0, 2, (200, 3))
    ours, theirs = find_modes(points, 2.0), MeanShift(bandwidth=2.0).fit(points).cluster_centers_
    assert len(ours) == len(theirs) > 8  # eight clumps and some strays
    np.testing.assert_allclose(ours[np.lexsort(ours.T.round(1))], theirs[np.lexsort(theirs.T.round(1))], atol=0.05)


def test_identical_instances_are_one_class() -> None:
    points = np.repeat([[0.0, 1.0], [2.0, 0.0]], [30, 2], axis=0)
    assert (
        by_frequency(find_classes(points, bandwidth=None, quantile=0.2, sample=20, seed=0), min_count=3).tolist()
        == [1] * 30 + [0] * 2
    )


def test_unknown_instances_have_no_class() -> None:
    assert by_frequency(np.array([0, 0, 0, 7, 7, 3]), min_count=2).tolist() == [0, 0, 0, 1, 1, 0]
    assert by_frequency(np.zeros(0, dtype=np.int64), min_count=1).tolist() == []


def test_painting_drops_tiny_classes_and_closes_the_gap() -> None:
    maps, images = two_instances()
    components = ComponentMaps(("a", "b", "c"), maps, np.zeros((3, 3), dtype=np.uint8))
    table = measure_instances(maps, images)
    values, classes = paint_classes(components, table, np.array([1, 2]), min_area=0.001)  # 1 and 32 of 1200 pixels
    assert classes.tolist() == [0, 1]
    np.testing.assert_array_equal(values, maps == 2)
    values, classes = paint_classes(components, table, np.array([1, 2]), min_area=0.0)
    assert np.bincount(values.ravel()).tolist() == [1167, 1, 32]


def test_labelled_images_are_the_nearest_of_each_group() -> None:
    areas = np.array([[0.1], [0.2], [0.3], [0.8], [0.9], [0.7], [0.2]])
    group = np.array([0, 0, 0, 1, 1, 1, -1])  # means .2 and .8; the last belongs nowhere, near as it is
    assert nearest_members(areas, group, share=0.3).tolist() == [False, True, False, True, False, False, False]


def test_variants_are_groups_and_odd_images_are_not_labelled() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[0.3, 0.0], [0.0, 0.3], [0.2, 0.2]])
    areas = np.concatenate([centres.repeat(20, axis=0), [[0.9, 0.9]]]) + random.normal(0, 0.003, (61, 2))
    found = group_compositions(areas, groups="every", min_group_share=0.1, labelled_share=0.5)
    assert found.group.max() == 2
    assert len({tuple(set(found.group[start : start + 20].tolist()) - {-1}) for start in (0, 20, 40)}) == 3
    assert found.group[60] == -1
    assert not found.labelled[60]
    assert all(found.labelled[start : start + 20].any() for start in (0, 20, 40))


def test_one_composition_is_one_group_and_its_odd_images_are_not_labelled() -> None:
    areas = np.random.default_rng(0).normal(0.2, 0.01, (40, 3))
    areas[::10, 0] = 0.5
    found = group_compositions(areas, groups="every", min_group_share=0.2, labelled_share=0.5)
    assert found.found == 0
    assert found.group.tolist() == [0] * 40
    assert found.labelled.sum() == 20
    assert not found.labelled[::10].any()


@pytest.mark.parametrize(("count", "labelled"), [(1, 1), (3, 2), (24, 12)])
def test_equal_images_and_very_few_are_one_group(count: int, labelled: int) -> None:
    found = group_compositions(np.full((count, 2), 0.1), groups="every", min_group_share=0.1, labelled_share=0.5)
    assert found.group.tolist() == [0] * count
    assert found.labelled.sum() == labelled


def test_spread_of_compositions() -> None:
    areas = np.array([[0.1, 0.1], [0.3, 0.1], [0.2, 0.2], [0.9, 0.9]])
    # means (.2, .1) and (.2, .2): deviations .1, .1, 0 over areas .2, .4, .4; the last image has no group
    assert composition_spread(areas, np.array([0, 0, 1, -1])) == pytest.approx(0.2)
    assert composition_spread(areas, np.array([-1, -1, -1, -1])) == 0


@pytest.mark.parametrize(
    ("areas", "counts", "labelled", "reason"),
    [
        (np.zeros((8, 0)), [0] * 8, 0, "no component class occurs often enough"),
        (np.full((8, 1), 0.1), [1, 9] * 4, 8, r"components per image vary wildly: 5\.0 ± 4\.0"),
        (np.full((8, 1), 0.1), [5] * 8, 3, "only 3 images are typical enough"),
        (np.array([[0.1], [0.3]] * 4), [5] * 8, 8, "areas differ by 50% among images of like composition"),
    ],
)
def test_implausible_classes(areas: np.ndarray, counts: list[int], labelled: int, reason: str) -> None:
    compositions = Compositions(np.zeros(8, dtype=np.int64), 0, np.arange(8) < labelled)
    verdict = judge(areas, np.array(counts), compositions, **LIMITS)
    assert not verdict.plausible
    assert len(verdict.reasons) == 1
    assert re.search(reason, verdict.reasons[0])


def test_plausible_classes_have_no_reason() -> None:
    areas, counts, labelled = np.full((8, 1), 0.1), np.full(8, 5), np.ones(8, dtype=bool)
    verdict = judge(areas, counts, Compositions(np.array([0] * 4 + [1] * 3 + [-1]), 2, labelled), **LIMITS)
    assert verdict.plausible
    assert verdict.reasons == ()
    assert (verdict.groups, verdict.largest_group, verdict.grouped, verdict.components_mean) == (2, 0.5, 0.875, 5)
    verdict = judge(areas, counts, Compositions(np.zeros(8, dtype=np.int64), 0, labelled), **LIMITS)
    assert (verdict.groups, verdict.largest_group, verdict.plausible) == (0, 0.0, True)
