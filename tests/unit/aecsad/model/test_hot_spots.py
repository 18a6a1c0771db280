"""Explanations of anomaly maps: the hottest spot is placed, measured, and named by the component that belongs there."""

import numpy as np
import pytest

from stages.aecsad.model.hot_spots import fit_spots, usual_classes
from stages.core.runtime.spots import NormalSpots, explain_map
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


def test_normal_spots_by_hand() -> None:
    validation = np.array([[[1.0, 3.0]], [[5.0, 2.0]]])
    fitted = fit_spots("a", validation)
    assert (fitted.mean, fitted.spread) == (4.0, 1.0)
    assert fit_spots("a", validation[:1]).spread > 0
