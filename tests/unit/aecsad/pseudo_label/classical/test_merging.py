"""Graph merging: trees of regions worked out by hand, the common height, and kinds of parts by colour."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from sklearn.cluster import ward_tree

from stages.aecsad.pseudo_label.classical import merging
from stages.aecsad.pseudo_label.classical.colour import clear_groups, kinds_by_colour
from stages.aecsad.pseudo_label.classical.merging import (
    RegionTree,
    colour_gradient,
    grow_tree,
    join_alike,
    merge_neighbours,
    propose_by_merging,
    steady_height,
    steady_number,
)
from stages.aecsad.pseudo_label.classical.shading import find_borders, neighbours
from stages.aecsad.pseudo_label.proposal import Proposal
from tests.table import violations
from tests.unit.aecsad.drawings import draw, stack

SETTINGS = {"superpixels": 150, "lightness": 0.4, "colour_kinds": True, "max_count_variation": 0.15}


def tree(*heights: float, area: tuple[int, ...] = (10, 10, 10, 70), rim: tuple[int, ...] = (0, 0, 0, 10)) -> RegionTree:
    """Four superpixels: 0 and 1 merge first, then 2 joins them, then the ground, which has the rim, takes all."""
    children = np.array([[0, 1], [4, 2], [5, 3]])
    pixels = np.repeat(np.arange(4), area).reshape(10, 10).astype(np.uint16)
    return grown(pixels, children, heights, rim)


def grown(pixels: np.ndarray, children: np.ndarray, heights: tuple[float, ...], rim: tuple[int, ...]) -> RegionTree:
    """A tree of superpixels that all have one colour."""
    area, colours = np.bincount(pixels.ravel()), np.zeros((*pixels.shape, 3))
    labels = pixels.astype(np.int64)
    borders = find_borders(labels, colours, neighbours(labels))
    return RegionTree(pixels, children, np.array(heights), area, np.array(rim), np.zeros((len(area), 3)), borders)


def bottle(left: int, *, upper: tuple[int, int, int] = (200, 40, 40), noise: int = 0) -> np.ndarray:
    """A body of two touching halves on dark ground, darker from left to right."""
    image = np.full((96, 96, 3), 40.0)
    shade = np.linspace(1.0, 0.6, 48)[None, :, None]
    image[16:48, left : left + 48] = np.array(upper) * shade
    image[48:80, left : left + 48] = np.array((230, 230, 120)) * shade
    return np.clip(image + np.random.default_rng(noise).normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def test_parts_are_what_the_merges_up_to_a_height_leave() -> None:
    def check(height: float, expected: list[int]) -> None:
        parts = tree(1.0, 2.0, 3.0).parts(height, min_area=0.05)
        groups = {tuple(np.flatnonzero(parts == part)) for part in set(parts.tolist()) - {0}}
        assert groups == {tuple(np.flatnonzero(np.array(expected) == part)) for part in set(expected) - {0}}
        assert (parts == 0).tolist() == [part == 0 for part in expected]
        assert parts.max() == max(expected)  # numbered without gaps

    rows = [(0.5, [1, 2, 3, 0]), (1.0, [1, 1, 2, 0]), (2.5, [1, 1, 1, 0]), (3.0, [0, 0, 0, 0])]
    assert violations(check, rows) == []


def test_regions_at_the_rim_and_small_ones_are_ground() -> None:
    at_rim = tree(1.0, 2.0, 3.0, rim=(2, 0, 0, 8)).parts(0.5, min_area=0.05)
    assert (at_rim > 0).tolist() == [False, True, True, False]  # the first has 10 % of the image and 20 % of its rim
    small = tree(1.0, 2.0, 3.0, area=(5, 15, 10, 70)).parts(0.5, min_area=0.05)
    assert (small > 0).tolist() == [False, True, True, False]


def test_last_merge_is_as_high_as_wards_method_says() -> None:
    image = np.full((64, 64, 3), 119, dtype=np.uint8)  # L = 50
    image[:, 32:] = 255  # L = 100
    found = grow_tree(image, superpixels=64, lightness=0.4)
    on_the_left = len(np.unique(found.superpixels[:, :30]))
    count = len(found.area)
    expected = np.sqrt(2 * on_the_left * (count - on_the_left) / count) * 0.4 * 50
    assert found.heights[-1] == pytest.approx(expected, rel=0.05)
    assert found.heights[-2] < 0.2 * found.heights[-1]
    assert found.area.sum() == 64 * 64
    assert found.rim.sum() == 4 * 63


def test_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = np.zeros((20, 20, 3), dtype=np.float32)
    ramp[..., 1] = 3 * np.arange(20)
    ramp[..., 2] = 4 * np.arange(20)[:, None]
    np.testing.assert_allclose(colour_gradient(ramp)[6:-6, 6:-6], 5, rtol=1e-4)


def test_neighbours_touch_at_a_side() -> None:
    labels = np.array([[0, 0, 1], [2, 2, 1], [2, 2, 3]])
    assert neighbours(labels).tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]


def test_regions_at_every_height_are_those_of_scikit_learn() -> None:
    found = grow_tree(bottle(20, noise=3), superpixels=150, lightness=0.4)
    labels, count = found.superpixels.astype(np.int64), len(found.area)
    first, second = neighbours(labels).T
    touching = coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    children, *_, heights = ward_tree(found.colours, connectivity=touching + touching.T, return_distance=True)
    assert (np.diff(heights) < 0).any()  # merges out of order, which both have to put right
    theirs = replace(found, children=np.asarray(children), heights=np.maximum.accumulate(heights))
    np.testing.assert_allclose(found.heights, theirs.heights, atol=1e-9)
    for merges in np.flatnonzero(np.diff(theirs.heights) > 1e-6) + 1:  # between two heights that differ
        ours, other = found.regions_after(merges), theirs.regions_after(merges)
        assert len(set(zip(ours.tolist(), other.tolist(), strict=True))) == ours.max() + 1 == other.max() + 1


def test_a_single_superpixel_has_nothing_to_merge() -> None:
    children, heights = merge_neighbours(np.zeros((1, 3)), np.zeros((0, 2), dtype=np.int64))
    assert children.shape == (0, 2)
    assert heights.shape == (0,)


def test_steady_number_worked_out_by_hand() -> None:
    # Mean 10, standard deviation 1: a tenth, of an allowed fifth. Mean 4 and 2: half of it. Mean 1.5: no division.
    counts = np.array([[9, 11, 9, 11], [6, 6, 6, 6], [2, 6, 2, 6], [1, 2, 1, 2], [0, 0, 0, 0]])
    steady = steady_number(counts, max_count_variation=0.2)
    np.testing.assert_allclose(steady, [10 * (1 - 0.25), 6, 0, 0, 0])


@pytest.mark.parametrize(("limit", "least", "below"), [(0.6, 1, 2), (0.2, 2, 3)])
def test_height_leaves_most_parts_as_far_as_their_number_is_steady(limit: float, least: float, below: float) -> None:
    # Parts at the lowest height, 1: 2, 2, 3 (varies by a fifth); from 2: 2, 2, 2; from 3: 2, 2, 1; from 5: 1, 1, 1.
    trees = [tree(1.0, 5.0, 9.0), tree(1.0, 5.0, 9.0), tree(2.0, 3.0, 9.0)]
    assert least <= steady_height(trees, max_count_variation=limit, min_area=0.05) < below


def test_many_steady_parts_are_taken_before_few_that_are_as_steady() -> None:
    five = grown(
        np.repeat(np.arange(5), 20).reshape(10, 10).astype(np.uint16),
        np.array([[0, 1], [5, 2], [6, 3], [7, 4]]),
        (1.0, 2.0, 20.0, 40.0),  # from 1: 3 parts, from 2: 2, from 20: 1
        (0, 0, 0, 0, 10),
    )
    assert 1 <= steady_height([five, five], max_count_variation=0.15, min_area=0.05) < 2


def test_of_numbers_that_are_all_unsteady_the_steadiest_is_taken() -> None:
    # Parts from 1: 3, 2, 1; from 2: 3, 1, 1; from 3: 2, 1, 1, below two on average.
    trees = [tree(3.0, 4.0, 9.0), tree(1.0, 2.0, 9.0), tree(0.5, 1.0, 9.0)]
    assert 1 <= steady_height(trees, max_count_variation=0.01, min_area=0.05) < 2


def test_shading_divides_nothing_and_touching_parts_stay_apart() -> None:
    images = [bottle(left, noise=left) for left in (20, 22, 24, 26)]
    proposal = propose_by_merging(stack(*images), **SETTINGS, min_area=0.001)
    assert proposal.values.max(axis=(1, 2)).tolist() == [2, 2, 2, 2]
    for left, values, kinds in zip((20, 22, 24, 26), proposal.values, proposal.kinds, strict=True):
        upper = values == values[32, left + 24]
        true = np.zeros((96, 96), dtype=bool)
        true[16:48, left : left + 48] = True
        assert (upper & true).sum() / (upper | true).sum() > 0.95
        assert kinds[values[32, left + 24]] == proposal.kinds[0, proposal.values[0, 32, 44]]
        assert kinds[values[32, left + 24]] != kinds[values[64, left + 24]]
        assert not values[[0, -1]].any()


def test_kinds_can_be_left_to_the_cluster_stage() -> None:
    images = stack(*(bottle(left, noise=left) for left in (20, 22, 24, 26)))
    known, open_ = (
        propose_by_merging(images, **{**SETTINGS, "colour_kinds": colour}, min_area=0.001) for colour in (True, False)
    )
    np.testing.assert_array_equal(open_.values, known.values)
    assert known.kinds.any() and not open_.kinds.any()


DIVIDED = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 0, 0], [0, 0, 4, 4]]
WHOLE = [[1, 1, 1, 1], [1, 1, 1, 1], [3, 3, 0, 0], [0, 0, 2, 2]]


def test_parts_of_one_kind_that_touch_in_some_images_only_are_one() -> None:
    parts = Proposal(np.array([DIVIDED, WHOLE], np.uint16), np.array([[0, 1, 1, 2, 1], [0, 1, 1, 2, 0]], np.uint8))
    joined = join_alike(parts, max_count_variation=0.15, min_area=0.05)
    assert joined.values.tolist() == [WHOLE, WHOLE]
    assert joined.kinds.tolist() == [[0, 1, 1, 2], [0, 1, 1, 2]]


def test_parts_of_one_kind_that_touch_in_every_image_stay_apart() -> None:
    parts = Proposal(np.array([DIVIDED, DIVIDED], np.uint16), np.array([[0, 1, 1, 2, 1]] * 2, np.uint8))
    assert join_alike(parts, max_count_variation=0.15, min_area=0.05) is parts


def test_small_parts_are_found_as_well() -> None:
    proposal = propose_by_merging(
        stack(*(draw(seed) for seed in range(4))), **(SETTINGS | {"superpixels": 600}), min_area=0.001
    )
    assert proposal.values.max(axis=(1, 2)).tolist() == [5, 5, 5, 5]
    assert sorted(np.unique(proposal.kinds[proposal.kinds > 0]).tolist()) == [1, 2]  # discs and squares


def test_plain_images_have_no_parts() -> None:
    plain = np.full((64, 64, 3), 128, dtype=np.uint8)
    proposal = propose_by_merging(stack(plain, plain), **SETTINGS, min_area=0.001)
    assert proposal.values.shape == (2, 64, 64)
    assert proposal.kinds.shape == (2, int(proposal.values.max()) + 1)
    assert not proposal.kinds.any()


def test_kinds_are_groups_of_colours_over_all_images() -> None:
    values = np.zeros((3, 4, 6), dtype=np.uint16)
    pixels = np.zeros((3, 4, 6, 3), dtype=np.uint8)
    for image, order in enumerate([(1, 2), (2, 1), (1, 2)]):
        values[image, :2, :3], values[image, 2:, 3:] = order
        pixels[image, values[image] == 1] = (200, 30 + image, 30) if order == (1, 2) else (30, 30, 200 + image)
        pixels[image, values[image] == 2] = (30, 30, 200 - image) if order == (1, 2) else (200, 30, 30 - image)
    kinds = kinds_by_colour(values, pixels, lightness=0.4)
    red, blue = kinds[0, 1], kinds[0, 2]
    assert {int(red), int(blue)} == {1, 2}
    assert kinds.tolist() == [[0, red, blue], [0, blue, red], [0, red, blue]]


def test_colours_without_clear_groups_give_no_kinds() -> None:
    points = np.random.default_rng(0).normal(size=(300, 3))
    assert not clear_groups(points).any()
    assert not clear_groups(np.ones((5, 3))).any()
    apart = np.concatenate([points, points + 40, points + (80, 0, 0)])
    assert len(np.unique(clear_groups(apart))) == 3
    many = clear_groups(np.repeat(apart, 3, axis=0)).reshape(3, -1)  # more than are grouped directly
    assert len(np.unique(many)) == 3
    assert (many == many[:, :1]).all()


def test_an_image_that_comes_again_is_not_divided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    images = stack(*(bottle(left, noise=left) for left in range(20, 24)))
    first = propose_by_merging(images, **SETTINGS, min_area=0.001)
    monkeypatch.setattr(merging, "grow_tree", None)
    again = propose_by_merging(images, **SETTINGS, min_area=0.001)
    np.testing.assert_array_equal(first.values, again.values)
