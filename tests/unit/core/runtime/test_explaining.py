"""Explanations of new images: what is kept in the file explains as what was fitted, in the order of the branches."""

from zipfile import BadZipFile

import numpy as np
import pytest

from stages.core.runtime.calibration import BranchScale, Calibration, Threshold
from stages.core.runtime.components import NormalComponents, Place
from stages.core.runtime.counting import NumberModel
from stages.core.runtime.explaining import Explainer, explainer_content, read_explainer, sentences
from stages.core.runtime.spots import NormalSpots

LABELS = np.zeros((16, 16), dtype=np.uint8)
LABELS[2:6, 2:6] = 1
PLACE = Place((0.75, 0.75), 0.02, 0.0625, 0.005, (0.25, 0.25))
NORMAL = NormalComponents(1, 2, {1: (PLACE,)}, np.array([0.0, 0.0625]), np.array([0.1, 0.1]), 0.001)
NUMBERS = NumberModel(np.array([0.1]), np.array([[100.0]]), np.array([[2.0]]), np.array([1]))
EXPLAINER = Explainer(NORMAL, 1, (NormalSpots("students", 1.0, 0.5),), LABELS, NUMBERS)
HEAT = np.pad(np.ones((1, 1)), ((12, 3), (12, 3)))


def calibration(**branches: BranchScale) -> Calibration:
    return Calibration(Threshold(1.0, 0.05, 0.05, 19, 19), 0.5, 0.0, 1.0, branches=branches or None)


def said(explainer: Explainer, order: Calibration, names: dict[int, str]) -> tuple[str, ...]:
    values = {"histogram": 3.0, "parts": 2.0, "students": 9.0}
    areas = np.array([0.14])
    return sentences(explainer, order, values, names, label_map=LABELS, maps={"students": HEAT}, areas=areas)


SCALE = BranchScale(threshold=1.0, median=0.0, weight=1.0)


def test_the_branch_that_decided_comes_first_and_components_have_names() -> None:
    order = calibration(histogram=SCALE, parts=SCALE, students=SCALE)
    assert said(EXPLAINER, order, {1: "label"}) == (
        "unusual look at the lower right, on no component",
        "label displaced by 71 % of the picture's side: upper left",
        "label, two too many",
    )


def test_branches_that_do_not_decide_say_nothing() -> None:
    assert said(EXPLAINER, calibration(parts=SCALE), {}) == ("component 1, two too many",)
    assert said(EXPLAINER, calibration(), {}) == ()


def test_the_file_explains_alike_and_has_the_same_bytes() -> None:
    content = explainer_content(EXPLAINER)
    order = calibration(histogram=SCALE, parts=SCALE, students=SCALE)
    assert said(read_explainer(content), order, {}) == said(EXPLAINER, order, {})
    assert explainer_content(read_explainer(content)) == content
    bare = Explainer(None, 3, (NormalSpots("students", 1.0, 0.5),), LABELS)
    assert read_explainer(explainer_content(bare)).components is None
    with pytest.raises((ValueError, BadZipFile)):
        read_explainer(content[:40])
