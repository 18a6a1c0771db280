"""Typical images and plausible classes, worked out by hand; also as CSAD publishes them."""

import re

import numpy as np
import pytest

from stages.aecsad.cluster.composition import (
    Compositions,
    composition_spread,
    group_compositions,
    judge_classes,
    nearest_members,
)
from tests.table import violations

LIMITS = {"max_spread": 0.1, "max_count_variation": 0.5}
PUBLISHED = {"min_group_share": 0.25, "labelled_share": 0.5}


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


def test_one_composition_is_one_group_without_its_odd_images() -> None:
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


@pytest.fixture
def two_groups() -> np.ndarray:
    """12 images around (0.1, 0.2), 8 around (0.3, 0.2) and two odd ones."""
    random = np.random.default_rng(0)
    centres = np.repeat([[0.1, 0.2], [0.3, 0.2], [0.9, 0.9], [0.5, 0.6]], [12, 8, 1, 1], axis=0)
    return centres + random.normal(0, 0.002, centres.shape)


def test_half_of_the_largest_group_is_labelled(two_groups: np.ndarray) -> None:
    found = group_compositions(two_groups, groups="largest", **PUBLISHED)
    assert found.found == 2
    assert found.labelled.sum() == 6
    assert found.labelled[:12].sum() == 6


def test_the_union_takes_half_of_every_group(two_groups: np.ndarray) -> None:
    found = group_compositions(two_groups, groups="union", **PUBLISHED)
    assert (found.labelled[:12].sum(), found.labelled[12:20].sum(), found.labelled[20:].sum()) == (6, 4, 0)


def test_the_nearest_images_may_belong_to_no_group(two_groups: np.ndarray) -> None:
    """As in CSAD's code; "every" would only take members."""
    areas = two_groups
    found = group_compositions(areas, groups="largest", min_group_share=0.25, labelled_share=1.9)
    assert found.labelled.sum() == int(1.9 * (found.group == np.bincount(found.group[found.group >= 0]).argmax()).sum())
    assert found.labelled[found.group == -1].any() or found.labelled[12:].any()


def test_without_a_group_nothing_is_labelled() -> None:
    """Five images that all differ: HDBSCAN finds no group of any size."""
    areas = 2.0 ** np.arange(5)[:, None] * np.array([[0.01, 0.02]])
    found = group_compositions(areas, groups="largest", min_group_share=0.1, labelled_share=0.5)
    assert found.found == 0
    assert not found.labelled.any()
    assert (found.group == -1).all()


def test_spread_of_compositions() -> None:
    areas = np.array([[0.1, 0.1], [0.3, 0.1], [0.2, 0.2], [0.9, 0.9]])
    # means (.2, .1) and (.2, .2): deviations .1, .1, 0 over areas .2, .4, .4; the last image has no group
    assert composition_spread(areas, np.array([0, 0, 1, -1])) == pytest.approx(0.2)
    assert composition_spread(areas, np.array([-1, -1, -1, -1])) == 0


def test_implausible_classes() -> None:
    def check(areas: np.ndarray, counts: list[int], labelled: int, reason: str) -> None:
        compositions = Compositions(np.zeros(8, dtype=np.int64), 0, np.arange(8) < labelled)
        verdict = judge_classes(areas, np.array(counts), compositions, **LIMITS)
        assert not verdict.plausible
        assert len(verdict.reasons) == 1
        assert re.search(reason, verdict.reasons[0])

    rows = [
        (np.zeros((8, 0)), [0] * 8, 0, "no component class occurs often enough"),
        (np.full((8, 1), 0.1), [1, 9] * 4, 8, r"components per image vary wildly: 5\.0 ± 4\.0"),
        (np.full((8, 1), 0.1), [5] * 8, 3, "only 3 images are typical enough"),
        (np.array([[0.1], [0.3]] * 4), [5] * 8, 8, "areas differ by 50% among images of similar composition"),
    ]
    assert violations(check, rows) == []


def test_plausible_classes_have_no_reason() -> None:
    areas, counts, labelled = np.full((8, 1), 0.1), np.full(8, 5), np.ones(8, dtype=bool)
    verdict = judge_classes(areas, counts, Compositions(np.array([0] * 4 + [1] * 3 + [-1]), 2, labelled), **LIMITS)
    assert verdict.plausible
    assert verdict.reasons == ()
    assert (verdict.groups, verdict.largest_group, verdict.grouped, verdict.components_mean) == (2, 0.5, 0.875, 5)
    verdict = judge_classes(areas, counts, Compositions(np.zeros(8, dtype=np.int64), 0, labelled), **LIMITS)
    assert (verdict.groups, verdict.largest_group, verdict.plausible) == (0, 0.0, True)
