"""Second shots and what is found again in them, worked out by hand."""

import numpy as np
import pytest
import torch

from benchmarks.studies.second_shots import SHIFT, panoptic_quality, same_classes, shoot, take_again

pytestmark = pytest.mark.study


def test_a_second_shot_shows_the_same_scene_elsewhere() -> None:
    scene = np.full((1, 3, 64, 64), 90, dtype=np.uint8)
    scene[:, 0, 20:30, 40:50] = 230
    shots = take_again(torch.from_numpy(scene).expand(20, 3, 64, 64), seed=1)
    assert shots.second.shape == shots.first.shape
    assert len(np.unique(shots.shifts, axis=0)) > 10
    for image, (down, right) in zip(shots.second.numpy(), shots.shifts, strict=True):
        rows, columns = np.nonzero(image[0].astype(int) > image[1].astype(int) + 60)
        assert rows.mean() == pytest.approx(24.5 + down, abs=0.2)
        assert columns.mean() == pytest.approx(44.5 + right, abs=0.2)


def test_light_changes_and_black_stays_black() -> None:
    grey, black = np.full((32, 32, 3), 120, dtype=np.uint8), np.zeros((32, 32, 3), dtype=np.uint8)
    still = np.zeros(2, dtype=np.int64)
    means = [shoot(grey, still, np.random.default_rng(seed)).mean() for seed in range(40)]
    assert np.mean(means) == pytest.approx(120, abs=6)
    assert 0.05 < np.std(means) / 120 < 0.2
    assert shoot(black, still, np.random.default_rng(0)).max() < 20


def test_the_same_seed_gives_the_same_shots() -> None:
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    assert torch.equal(take_again(images, seed=3).second, take_again(images, seed=3).second)
    assert not torch.equal(take_again(images, seed=3).second, take_again(images, seed=4).second)


def test_quality_counts_parts_that_only_one_shot_has() -> None:
    first = np.zeros((1, 20, 20), dtype=np.uint16)
    first[0, 8:10, 8:12], first[0, 14:16, 8:12] = 1, 2  # eight pixels each
    second = np.zeros_like(first)
    second[0, 9:11, 9:13] = 5  # the first one, moved by (1, 1)
    assert panoptic_quality(first, second, np.array([[1, 1]])) == pytest.approx([2 / 3])
    assert panoptic_quality(first, second, np.array([[0, 1]])) == pytest.approx([2 * (4 / 12) / 3])
    assert panoptic_quality(np.zeros_like(first), np.zeros_like(first), np.array([[0, 0]])) == [0]


def test_parts_that_the_shift_moves_out_of_the_image_do_not_count() -> None:
    first = np.zeros((1, 20, 20), dtype=np.uint16)
    first[0, :2, 5:9], first[0, 10:12, 5:9] = 1, 2
    second = np.zeros_like(first)
    second[0, 10 - SHIFT : 12 - SHIFT, 5:9] = 1
    assert panoptic_quality(first, second, np.array([[-SHIFT, 0]])) == [1]


def test_classes_agree_whatever_their_numbers() -> None:
    first = np.zeros((2, 4, 4), dtype=np.uint8)
    first[:, 0], first[:, 1] = 1, 2
    second = np.zeros_like(first)
    second[:, 0], second[:, 1] = 2, 1
    still = np.zeros((2, 2), dtype=np.int64)
    assert same_classes(first, second, still) == 1
    second[:, 1, :2] = 2  # four of the sixteen pixels change their class
    # pairs together: 2 C(8,2) = 56 in the first, C(12,2) + C(4,2) = 72 in the second, C(8,2) + 2 C(4,2) = 40 in both
    expected = 56 * 72 / 120
    assert same_classes(first, second, still) == pytest.approx((40 - expected) / ((56 + 72) / 2 - expected))


def test_pixels_without_a_class_in_one_shot_disagree() -> None:
    first = np.zeros((1, 4, 4), dtype=np.uint8)
    first[0, 0], first[0, 1] = 1, 2
    still = np.zeros((1, 2), dtype=np.int64)
    assert same_classes(first, np.roll(first, 1, axis=1), np.array([[1, 0]])) == 1
    second = first.copy()
    second[0, 1, :2] = 0  # pairs together: 12 in the first, C(4,2) + 2 in the second and in both
    expected = 12 * 8 / 28
    assert same_classes(first, second, still) == pytest.approx((8 - expected) / ((12 + 8) / 2 - expected))


def test_no_class_and_a_single_one_are_no_agreement() -> None:
    two = np.zeros((1, 4, 4), dtype=np.uint8)
    two[0, 0], two[0, 1] = 1, 2
    one, none = np.minimum(two, 1), np.zeros_like(two)
    still = np.zeros((1, 2), dtype=np.int64)
    for first, second in ((two, none), (none, two), (none, none), (one, one), (one, two)):
        assert same_classes(first, second, still) == 0


def test_what_chance_gives_counts_nothing() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.integers(1, 4, size=(2, 5, 64, 64), dtype=np.uint8)
    assert abs(same_classes(first, second, np.zeros((5, 2), dtype=np.int64))) < 0.002
