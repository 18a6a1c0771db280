"""Edits of label maps, worked out by hand."""

import numpy as np

from stages.aecsad.histogram.edits import duplicate, edit_components, find_regions, reclassify, remove


def layout() -> np.ndarray:
    """A square of class 1 in a body of class 2 on background."""
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[10:30, 10:30] = 2
    labels[14:20, 14:20] = 1
    return labels


def test_regions_within_the_bounds() -> None:
    labels = layout()
    assert [(region.label, int(region.mask.sum())) for region in find_regions(labels, min_area=0, max_area=1)] == [
        (1, 36),
        (2, 364),
    ]
    assert [region.label for region in find_regions(labels, min_area=0.02, max_area=0.1)] == [1]
    assert find_regions(np.zeros((5, 5), dtype=np.uint8), min_area=0, max_area=1) == []


def test_removed_components_take_the_class_around_them() -> None:
    labels = layout()
    small, body = find_regions(labels, min_area=0, max_area=1)
    remove(labels, small, 3, np.random.default_rng(0))
    assert np.bincount(labels.ravel()).tolist() == [1200, 0, 400]
    labels = layout()
    remove(labels, body, 3, np.random.default_rng(0))
    assert np.bincount(labels.ravel()).tolist() == [1564, 36]


def test_doubled_components_are_whole_and_the_first_stays() -> None:
    for seed in range(20):
        labels = np.zeros((40, 40), dtype=np.uint8)
        labels[0:6, 34:40] = 1
        duplicate(labels, find_regions(labels, min_area=0, max_area=1)[0], 2, np.random.default_rng(seed))
        assert (labels[0:6, 34:40] == 1).all()
        assert 36 <= labels.sum() <= 72


def test_reclassified_components_are_of_another_component_class() -> None:
    for seed in range(20):
        labels = layout()
        reclassify(labels, find_regions(labels, min_area=0, max_area=1)[0], 5, np.random.default_rng(seed))
        assert labels[16, 16] in (2, 3, 4)


def test_edits_copy_and_skip_images_without_components() -> None:
    maps = np.stack([layout(), np.zeros((40, 40), dtype=np.uint8)])
    settings = {"num_classes": 3, "edits_per_image": 5, "min_area": 0.003, "max_area": 0.9}
    edited, sources = edit_components(maps, **settings, random=np.random.default_rng(0))
    assert sources.tolist() == [0] * 5
    assert edited.shape == (5, 40, 40)
    assert all((edit != layout()).any() for edit in edited)
    np.testing.assert_array_equal(maps[0], layout())
    np.testing.assert_array_equal(edited, edit_components(maps, **settings, random=np.random.default_rng(0))[0])
