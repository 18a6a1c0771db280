"""Explanations by components: synthetic changes in label maps are named, placed and measured."""

import numpy as np
import pytest

from stages.aecsad.score_fusion.components import fit_components
from stages.core.runtime.components import NormalComponents, explain_components, find_components
from stages.core.runtime.explanation import Explanation
from stages.core.runtime.wording import describe
from tests.unit.aecsad.layouts import SIZE, draw

FITTING = {"num_classes": 3, "grid": 4, "min_area": 0.002, "stable_share": 0.95, "area_floor": 0.01, "seed": 0}


@pytest.fixture(scope="module")
def normal() -> NormalComponents:
    return fit_components(np.stack([draw(seed) for seed in range(40)]), **FITTING)  # type: ignore[arg-type]


def top(normal: NormalComponents, labels: np.ndarray) -> Explanation:
    return explain_components(normal, labels)[0]


def inside(finding: Explanation, y: int, x: int) -> bool:
    up, left, down, right = (side * SIZE for side in finding.box)
    return up <= y < down and left <= x < right


def test_a_missing_component(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[40:56, 4:20] = 0
    found = top(normal, labels)
    assert (found.component, found.measure, found.observed, found.normal) == (1, "missing", 3, 4)
    assert describe(found, {}) == "component 1 missing: lower left, 3 instead of 4"
    assert inside(found, 48, 12)


def test_a_component_too_many(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[2:7, 28:36] = 1
    found = top(normal, labels)
    assert (found.component, found.measure, found.observed, found.normal) == (1, "extra", 5, 4)
    assert inside(found, 4, 30)


def test_a_component_of_half_the_size(normal: NormalComponents) -> None:
    labels = draw(100)
    rows, columns = np.nonzero(labels[:32, 32:] == 1)
    labels[:32, 32:][rows[: len(rows) // 2], columns[: len(rows) // 2]] = 0
    found = top(normal, labels)
    assert (found.component, found.measure) == (1, "area")
    assert describe(found, {}) == "component 1 smaller (0.5 x): upper right"
    assert found.observed / found.normal == pytest.approx(0.5, abs=0.05)


def test_a_displaced_component(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[:24, :24] = 0
    labels[4:12, 22:30] = 1
    found = next(one for one in explain_components(normal, labels) if one.measure != "cell_area")
    assert (found.component, found.measure) == (1, "place")
    assert found.observed == pytest.approx(14 / SIZE, abs=3 / SIZE)  # image sides from its place
    assert inside(found, 8, 26)


def test_an_area_of_a_class_that_varies() -> None:
    """Class 2 comes in one to three pieces, so it is not counted, but its area in a cell still speaks."""
    maps = []
    for seed in range(40):
        labels = draw(seed)
        for piece in range(seed % 3):
            labels[60:62, 4 + 20 * piece : 12 + 20 * piece] = 2
        maps.append(labels)
    normal = fit_components(np.stack(maps), **FITTING)  # type: ignore[arg-type]
    assert set(normal.places) == {1}
    labels = draw(100)
    labels[2:14, 33:40] = 2
    found = top(normal, labels)
    assert (found.component, found.measure) == (2, "cell_area")
    assert describe(found, {2: "cap"}) == "cap elsewhere: row 1, column 3 of 4 x 4"


def test_normal_images_deviate_less_than_changed_ones(normal: NormalComponents) -> None:
    worst = max(finding.deviation for seed in range(200, 220) for finding in explain_components(normal, draw(seed)))
    assert worst < 10


def test_the_findings_are_in_order_and_repeat(normal: NormalComponents) -> None:
    labels = draw(100)
    labels[40:56, 4:20] = 0
    found = explain_components(normal, labels)
    deviations = [finding.deviation for finding in found]
    assert deviations == sorted(deviations, reverse=True)
    again = fit_components(np.stack([draw(seed) for seed in range(40)]), **FITTING)  # type: ignore[arg-type]
    assert explain_components(again, labels) == found


def test_an_empty_label_map_misses_everything(normal: NormalComponents) -> None:
    found = explain_components(normal, np.zeros((SIZE, SIZE), dtype=np.uint8))
    assert [finding.measure for finding in found[:5]] == ["missing"] * 5
    assert {finding.observed for finding in found[:5]} == {0}


def test_components_by_hand() -> None:
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[2:4, 4:8] = 1
    labels[9, 19] = 1
    (found,) = find_components(labels, 1, min_area=0.01)
    assert (found.share, found.box) == (8 / 200, (0.2, 0.2, 0.4, 0.4))
    assert found.centre == pytest.approx((0.3, 0.3))
    assert len(find_components(labels, 1, min_area=0.001)) == 2
