"""The drawn products have the parts that are claimed, where they are visible."""

import numpy as np
import pytest

from benchmarks.studies.canvas import SIZE
from benchmarks.studies.drawings import PRODUCTS
from stages.evaluation.components import true_instances

pytestmark = pytest.mark.study
PARTS = {
    "screw_kit": 9, "meal_tray": 5, "terminal_box": 6, "palette": 8, "battery_pack": 24, "salad_jar": 5,
    "spine_slice": 12, "cable_section": 7, "sash_window": 7, "knee_slice": 7, "flange": 9, "paint_tubes": 10,
    "floor_tile": 11, "parcel": 10, "sandwich": 5, "chest_slice": 5, "signal": 8, "fuse_row": 10, "keypad": 14,
    "wall_section": 5, "belly_slice": 8, "socket": 7, "chocolates": 10, "bus": 10,
}  # fmt: skip


def test_every_image_shows_all_parts_in_the_size_of_an_image() -> None:
    found: dict[str, set[int]] = {name: set() for name in PRODUCTS}
    for name, product in PRODUCTS.items():
        for number in range(2):
            image, classes = product(np.random.default_rng(number)).photograph()
            assert image.shape == (SIZE, SIZE, 3), name
            found[name].add(int(true_instances(classes, size=SIZE).max()))
    assert found == {name: {count} for name, count in PARTS.items()}


def test_drawings_vary_and_can_be_drawn_again() -> None:
    equal = []
    for name, product in PRODUCTS.items():
        one, again, other = (product(np.random.default_rng(number)).photograph() for number in (0, 0, 1))
        np.testing.assert_array_equal(one[0], again[0], err_msg=name)
        if (one[1] != other[1]).mean() <= 0.001:
            equal.append(name)
    assert equal == []


def test_classes_lie_where_the_colours_do() -> None:
    image, classes = PRODUCTS["meal_tray"](np.random.default_rng(0)).photograph()
    means = {number: image[classes == number].mean(axis=0) for number in range(1, 6)}
    assert means[3].argmax() == 1  # peas are green
    assert means[4].argmax() == means[2].argmax() == 0  # sauce and stew red
    assert means[1].min() > 150  # rice and label light
    assert means[5].min() > 150
