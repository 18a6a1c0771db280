"""Heatmaps and outlines over pictures."""

import numpy as np
import pytest
from scipy.ndimage import zoom

from stages.core.images.overlays import (
    CONTOUR_COLOUR,
    fit_within,
    heatmap_overlay,
    mask_contour,
    upsample_map,
)
from stages.core.runtime.heatmaps import heat_colours

GREY = np.full((8, 8, 3), 128, dtype=np.uint8)


def test_upsampling_covers_the_whole_image() -> None:
    # Two cells of 2 pixels each: pixel centres at 0.25, 0.75, 1.25, 1.75; cell centres at 0.5 and 1.5.
    upsampled = upsample_map(np.array([[0.0, 4.0]], dtype=np.float16), height=1, width=4)
    assert upsampled.tolist() == [[0.0, 1.0, 3.0, 4.0]]


def test_upsampling_agrees_with_scipy_on_a_grid() -> None:
    small = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float16)
    expected = zoom(small.astype(np.float64), 4, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(upsample_map(small, height=20, width=28), expected, atol=1e-5)


def test_colours_go_from_blue_to_red() -> None:
    blue, red = heat_colours(np.array([0.0, 1.0])).astype(int)
    assert blue[2] > 2 * blue[0]
    assert red[0] > 2 * red[2]
    assert (heat_colours(np.array([-5.0, 7.0])) == [blue, red]).all()


def test_overlay_is_red_where_the_map_is_high() -> None:
    overlay = heatmap_overlay(GREY, np.array([[0.0, 10.0]]), low=0.0, high=10.0).astype(int)
    assert overlay.shape == GREY.shape
    assert (overlay[:, 0, 2] > overlay[:, 0, 0] + 20).all()
    assert (overlay[:, -1, 0] > overlay[:, -1, 2] + 20).all()


def test_overlay_needs_a_range() -> None:
    with pytest.raises(ValueError, match="low < high"):
        heatmap_overlay(GREY, np.zeros((2, 2)), low=1.0, high=1.0)


def test_contour_is_drawn_on_a_copy_and_only_on_the_edge() -> None:
    mask = np.zeros((16, 16), dtype=bool)
    mask[4:12, 4:12] = True  # half the size of the mask: pixels 2 to 5 of the image
    drawn = mask_contour(GREY, mask)
    assert (GREY == 128).all()
    assert tuple(drawn[2, 2]) == CONTOUR_COLOUR
    assert tuple(drawn[3, 3]) == (128, 128, 128)
    assert (mask_contour(GREY, np.zeros((4, 4), dtype=bool)) == GREY).all()


def test_fitting_keeps_the_aspect_ratio() -> None:
    for shape, expected in (((100, 50), (64, 32)), ((10, 20), (32, 64)), ((500, 1), (64, 1))):
        assert fit_within(np.zeros((*shape, 3), dtype=np.uint8), 64).shape[:2] == expected
