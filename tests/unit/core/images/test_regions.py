"""Connected regions of label maps, worked out by hand."""

import numpy as np

from stages.core.images.regions import connected_regions


def layout() -> np.ndarray:
    """Class 2: two squares that touch at a corner; class 1: a bar and a pixel."""
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[0:2, 0:2] = labels[2:4, 2:4] = 2
    labels[6, 5:11] = 1
    labels[9, 19] = 1
    return labels


def test_regions_of_each_class_by_hand() -> None:
    bar, pixel, squares = connected_regions(layout())
    assert [(region.label, region.area) for region in (bar, pixel, squares)] == [(1, 6), (1, 1), (2, 8)]
    assert (bar.box, bar.centre, bar.share) == ((6, 5, 7, 11), (7.5, 6.0), 6 / 200)
    assert squares.box == (0, 0, 4, 4)
    assert squares.inside.sum() == 8
    np.testing.assert_array_equal(squares.mask, layout() == 2)
    assert bar.mask.sum() + pixel.mask.sum() == (layout() == 1).sum()


def test_painting_sets_the_region_alone() -> None:
    target = np.zeros((10, 20), dtype=np.uint16)
    for number, region in enumerate(connected_regions(layout(), min_area=6), start=1):
        region.paint(target, number)
    np.testing.assert_array_equal(target == 1, (layout() == 1) & (np.arange(20) < 19))
    np.testing.assert_array_equal(target == 2, layout() == 2)


def test_a_mask_is_one_class_and_an_empty_map_has_no_region() -> None:
    assert [region.label for region in connected_regions(layout() > 0)] == [1, 1, 1]
    assert connected_regions(np.zeros((5, 5), dtype=np.uint8)) == []
