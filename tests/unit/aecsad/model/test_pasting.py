"""Pasted components: what is cut out, where it may go, and what a paste changes."""

import numpy as np

from stages.aecsad.model.pasting import find_components, paste_components
from tests.unit.aecsad.scenes import PASTE, square_scene


def test_components_cover_more_than_a_thousandth_of_the_image() -> None:
    labels = square_scene()[1]
    labels[40, 40] = 2  # one pixel of 4096 is less than 0.1 %
    labels[30:34, 50:54] = 1
    found = find_components(labels)
    assert [(region.label, region.area, region.centre) for region in found] == [
        (1, 100, (14.5, 14.5)),
        (1, 16, (51.5, 31.5)),
    ]


def test_a_paste_adds_one_component_of_the_same_class_and_colour() -> None:
    image, labels = square_scene()
    for seed in range(5):
        pasted_image, pasted = paste_components(image, labels, random=np.random.default_rng(seed), **PASTE)
        added = (pasted == 1) & (labels == 0)
        assert 80 <= added.sum() <= 125  # 100 pixels, rotated by nearest neighbour
        assert (pasted_image[added][:, 0] > 150).mean() > 0.85  # its rim is interpolated
        np.testing.assert_array_equal(pasted_image[~added], image[~added])
        centre = np.argwhere(added).mean(axis=0)
        assert np.hypot(*(centre - 14.5)) / 64 >= 0.2 - 0.02
        assert set(np.unique(pasted)) == {0, 1}
    assert image[30, 30, 0] == 128  # the inputs are not touched


def test_exact_pastes_have_a_rim_of_other_classes() -> None:
    image, labels = square_scene()
    labels[labels == 1] = 7
    pasted, exact = (
        paste_components(image, labels, random=np.random.default_rng(1), csad_exact=value, **PASTE)[1]
        for value in (False, True)
    )
    assert set(np.unique(pasted)) == {0, 7}
    assert set(np.unique(exact)) - {0, 7}  # interpolated between 0 and 7
    np.testing.assert_array_equal(exact[labels == 7], 7)  # the original stays


def test_without_components_or_places_nothing_changes() -> None:
    image, labels = square_scene()
    nothing = np.zeros_like(labels)
    np.testing.assert_array_equal(
        paste_components(image, nothing, random=np.random.default_rng(0), **PASTE)[1], nothing
    )
    far = {**PASTE, "min_distance": 5.0}
    np.testing.assert_array_equal(paste_components(image, labels, random=np.random.default_rng(0), **far)[1], labels)
