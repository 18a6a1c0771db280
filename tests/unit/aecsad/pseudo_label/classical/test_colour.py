"""Exposure and white balance between images, by known changes of known scenes."""

import numpy as np
import pytest

from stages.aecsad.pseudo_label.classical import colour
from stages.aecsad.pseudo_label.classical.colour import illumination_gains, kinds_by_colour


def scenes(count: int = 5) -> np.ndarray:
    """Grey scenes with coloured squares, each elsewhere."""
    draw = np.random.default_rng(0)
    images = np.full((count, 80, 80, 3), (120, 110, 100), dtype=np.float64)
    for image in images:
        for shade in ((160, 60, 50), (50, 60, 160)):
            top, left = draw.integers(0, 60, size=2)
            image[top : top + 20, left : left + 20] = shade
    return images


def test_known_gains_are_found() -> None:
    true = np.array([[1, 1, 1], [0.8, 0.8, 0.8], [1.3, 1.3, 1.3], [1.05, 1, 0.95], [1, 1, 1]])
    images = (scenes() * true[:, None, None]).round().astype(np.uint8)
    np.testing.assert_allclose(illumination_gains(images), true, rtol=0.01)


def test_a_product_of_another_colour_is_no_light() -> None:
    images = scenes().round().astype(np.uint8)
    images[2, 10:75] = (170, 60, 60)
    np.testing.assert_allclose(illumination_gains(images), 1, rtol=0.01)


def test_dark_places_do_not_count() -> None:
    images = scenes() * np.array([1, 0.8, 1.2, 1, 1])[:, None, None, None]
    images[:, :56] = np.random.default_rng(1).integers(0, 6, size=(5, 56, 80, 3))  # black, but for noise
    gains = illumination_gains(images.round().astype(np.uint8))
    np.testing.assert_allclose(gains, np.array([1, 0.8, 1.2, 1, 1])[:, None].repeat(3, axis=1), rtol=0.02)
    assert (illumination_gains(np.zeros((3, 16, 16, 3), dtype=np.uint8)) == 1).all()


def test_kinds_hold_under_changing_light() -> None:
    colours = np.array([[150, 100, 80], [130, 100, 80], [100, 120, 90], [100, 120, 110]])
    values = np.zeros((12, 40, 40), dtype=np.uint16)
    pixels = np.full((12, 40, 40, 3), 118.0)
    for number, shade in enumerate(colours, start=1):
        values[:, 8 * number - 4 : 8 * number, 10:20] = number
        pixels[values == number] = shade
    pixels += np.random.default_rng(2).normal(0, 1, size=pixels.shape)
    gains = np.random.default_rng(3).uniform(0.9, 1.1, size=(12, 3)) * np.linspace(0.6, 1.4, 12)[:, None]
    lit = (pixels * gains[:, None, None]).round().clip(0, 255).astype(np.uint8)
    kinds = kinds_by_colour(values, lit, lightness=1)
    assert len(set(kinds[0, 1:].tolist())) == 4
    assert (kinds == kinds[:1]).all()


def test_light_is_not_corrected_where_colours_are_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((8, 20, 20), dtype=np.uint16)
    values[:, 2:6, 2:6], values[:, 12:16, 12:16], values[:, 2:6, 12:16] = 1, 2, 3
    pixels = np.array([(118, 118, 118), (150, 100, 80), (100, 120, 90), (90, 90, 160)], dtype=np.uint8)[values]
    pixels = pixels + np.random.default_rng(0).integers(0, 3, size=pixels.shape, dtype=np.uint8)
    wrong = np.random.default_rng(1).normal(1, 0.2, size=(8, 3))
    monkeypatch.setattr(colour, "illumination_gains", lambda _: wrong)
    kinds = kinds_by_colour(values, pixels, lightness=0.2)
    assert sorted(kinds[0].tolist()) == [0, 1, 2, 3]
    assert (kinds == kinds[:1]).all()
