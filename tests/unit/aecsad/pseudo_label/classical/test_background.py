"""Background difference: distances, outlines and the contrast of parts, worked out by hand."""

import numpy as np
import pytest
from scipy import ndimage

from stages.aecsad.pseudo_label.classical.background import (
    agreed_contrast,
    background_distance,
    differing,
    fill_holes,
    propose_by_background,
)
from tests.unit.aecsad.drawings import draw, stack

SETTINGS = {"window": 0.2, "lightness": 0.5, "edge": 0.5, "min_area": 0.001}
GREY = np.array([119, 119, 119], dtype=np.uint8)  # L = 50 in CIE Lab, 128 on OpenCV's scale


def test_distance_is_that_of_lab_colours_with_less_lightness() -> None:
    image = np.tile(GREY, (60, 60, 1))
    image[20:24, 30:34] = 255  # L = 100: 50 units of L away from the ground, no hue
    distance = background_distance(image, window=13, lightness=0.5)
    expected = np.zeros((60, 60))
    expected[20:24, 30:34] = 0.5 * 50
    np.testing.assert_allclose(distance, expected, atol=0.3)  # 8-bit Lab has steps of 0.4


def test_outline_is_at_half_contrast_and_faint_regions_are_not_parts() -> None:
    distance = np.zeros((20, 20), dtype=np.float32)
    distance[4:10, 4:10] = 15  # a shadow around the part
    distance[5:9, 5:9] = 40
    distance[7, 7] = 0  # a hole
    distance[14:18, 14:18] = 15  # as faint as the shadow, alone
    expected = np.zeros((20, 20), dtype=bool)
    expected[5:9, 5:9] = True
    np.testing.assert_array_equal(differing(distance, contrast=20, edge=0.5), expected)
    distance[9, 6] = 18  # a needle: 45 % of the contrast
    expected[9, 6] = True
    np.testing.assert_array_equal(differing(distance, contrast=20, edge=0.4), expected)


def distances_with(faint: float, *, specks: tuple[int, ...]) -> list[np.ndarray]:
    """An image a number of specks: one part that differs by 60, three that differ by `faint`, and specks by 7."""
    images = []
    for count in specks:
        distance = np.zeros((40, 40), dtype=np.float32)
        distance[2:8, 2:8] = 60
        for part in range(3):
            distance[12:18, 2 + 10 * part : 8 + 10 * part] = faint
        distance[22 : 22 + 6 * count : 6, 2:8], distance[23 : 23 + 6 * count : 6, 2:8] = 7, 7
        images.append(distance)
    return images


def test_contrast_is_one_at_which_images_agree_on_many_parts() -> None:
    settings = {"edge": 0.5, "min_area": 0.005}
    # From 5 to 7: 4 parts and the specks. To 18: 4 parts in every image. To 60: 1, over more contrasts, in every image.
    contrast = agreed_contrast(distances_with(18, specks=(0, 1, 2, 3)), **settings)
    assert 7 < contrast < 18
    assert contrast == pytest.approx(np.sqrt(7 * 18), rel=0.15)  # the middle: as far from the specks as from the parts
    # Where nothing tells them from the specks, only the part that all images have is left.
    assert 7 < agreed_contrast(distances_with(7, specks=(0, 1, 2, 3)), **settings) < 60
    assert agreed_contrast([np.zeros((40, 40), dtype=np.float32)], **settings) > 0


def test_every_part_of_a_drawing_is_found() -> None:
    proposal = propose_by_background(stack(draw(0), draw(1, discs=1)), **SETTINGS)
    assert proposal.values.max(axis=(1, 2)).tolist() == [5, 3]
    assert not proposal.kinds.any()
    areas = np.bincount(proposal.values[0].ravel())[1:]
    assert sorted(areas.tolist()) == [81] * 2 + [81] * 3  # a 9 x 9 square; a disc of radius 5 has 81 pixels as well


def test_a_change_of_light_is_not_a_part() -> None:
    image = np.tile(np.linspace(100, 180, 96).astype(np.uint8)[:, None, None], (1, 96, 3))
    assert not propose_by_background(stack(image), **SETTINGS).values.any()


def test_twice_the_resolution_gives_the_same_parts() -> None:
    small = draw(3)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    one, two = (propose_by_background(stack(image), **SETTINGS).values[0] for image in (small, large))
    assert one.max() == two.max() == 5
    assert (two > 0).sum() == pytest.approx(4 * (one > 0).sum(), rel=0.02)


def test_holes_are_those_of_scipy() -> None:
    random = np.random.default_rng(0)
    masks = [random.random((20, 23)) < share for share in np.linspace(0, 1, 21)]
    for mask in masks:  # among them no pixel, all pixels, and holes that touch the outside at a corner
        np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
    assert any((fill_holes(mask) != mask).any() for mask in masks)
