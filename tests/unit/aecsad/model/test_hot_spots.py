"""Explanations of anomaly maps: the hottest spot is placed, measured, and named by the component that belongs there."""

import numpy as np
import pytest

from stages.aecsad.model.hot_spots import fit_spots, usual_classes
from stages.core.runtime.spots import NormalSpots, explain_map
from tests.table import violations
from tests.unit.aecsad.layouts import SIZE, draw


def test_a_hot_spot_names_the_component_that_belongs_there() -> None:
    maps = np.stack([draw(seed) for seed in range(9)])
    usual = usual_classes(maps, num_classes=3)
    heat = np.full((16, 16), 0.1)
    heat[12, 12], heat[12, 13], heat[0, 0] = 2.0, 1.5, 1.9  # the last is hot, but not connected
    empty = np.zeros((SIZE, SIZE), dtype=np.uint8)
    found = explain_map(NormalSpots("a", 0.5, 0.25), heat, empty, usual)
    assert (found.branch, found.measure) == ("a", "hot_spot")
    assert (found.component, found.box) == (1, (0.75, 0.75, 0.8125, 0.875))
    assert found.deviation == pytest.approx(6.0)
    assert found.classes == (1, 0)
    nowhere = explain_map(NormalSpots("a", 0.5, 0.25), heat, empty, empty)
    assert nowhere.component is None
    assert nowhere.classes == (0, 0)


def test_a_hot_spot_on_nothing_names_what_it_lies_next_to() -> None:
    nothing = np.zeros((40, 40), dtype=np.uint8)
    heat = np.full((20, 20), 0.1)
    heat[10, 10] = 2.0  # pixels 20 and 21 of the label maps; 5 % are 2 pixels

    def check(seen: tuple[int, ...], usual: tuple[int, ...], expected: int | None) -> None:
        maps = []
        for columns in (seen, usual):
            one = nothing.copy()
            for label, column in enumerate(columns, start=1):
                one[20:22, column] = label
            maps.append(one)
        found = explain_map(NormalSpots("a", 0.5, 0.25), heat, *maps)
        assert (found.component, found.classes) == (expected, (0, 0))

    rows = [
        ((23,), (), 1),  # within the distance
        ((24,), (), None),
        ((18, 23), (), 1),  # of equally frequent ones the lowest
        ((), (23,), 1),  # what normally lies there
        ((30, 23), (23,), 2),  # what this image shows is named before
    ]
    assert violations(check, rows) == []


def test_normal_spots_by_hand() -> None:
    validation = np.array([[[1.0, 3.0]], [[5.0, 2.0]]])
    fitted = fit_spots("a", validation)
    assert (fitted.mean, fitted.spread) == (4.0, 1.0)
    assert fit_spots("a", validation[:1]).spread > 0
