"""Explanations held against the true defects."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.io.explanations import Explanations
from stages.core.run.errors import UserError
from stages.core.runtime.calibration import Calibration, Threshold
from stages.core.runtime.explanation import Explanation
from stages.evaluation.explained import NOTHING, checked_explanations, explanation_metrics, in_order, overlap
from stages.evaluation.names import Undefined, nested
from stages.evaluation.thresholds import Fitted, Reference, Uncertainty

REFERENCE = Reference(np.array([0.0, 1.0]), threshold=1.0)
UNCERTAINTY = Uncertainty(REFERENCE, {"a": REFERENCE, "b": REFERENCE}, 0.0, 1.0, open_above=True)
FITTED = Fitted(Calibration(Threshold(1.0, 0.5, 0.5, 2, 1), 0.5, 0.0, 1.0), Undefined("x"), UNCERTAINTY)
LEFT, RIGHT = (0.0, 0.0, 1.0, 0.5), (0.0, 0.5, 1.0, 1.0)


def finding(branch: str, box: tuple[float, float, float, float], component: int | None = 1) -> Explanation:
    return Explanation(branch, component, "area", box, 1.0, 2.0, 3.0)


def test_overlap_and_chance_by_hand() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = True
    # A box of 2 x 2 fits at 9 places; at one of them it holds the upper left pixel.
    assert (overlap((0, 0, 0.5, 0.5), mask).hit, overlap((0.5, 0.5, 1, 1), mask).hit) == (True, False)
    assert overlap((0.5, 0.5, 1, 1), mask).chance == pytest.approx(1 / 9)
    assert overlap((0.0, 0.0, 1.0, 1.0), mask).chance == 1.0
    assert overlap((0.99, 0.99, 1.0, 1.0), mask).chance == pytest.approx(1 / 16)  # never smaller than a pixel


def test_the_branch_that_decided_comes_first_and_unused_ones_are_excluded() -> None:
    findings = [finding("a", LEFT), finding("dropped", LEFT), finding("b", RIGHT)]
    assert [one.branch for one in in_order(findings, {"a": 0.0, "b": 9.0}, UNCERTAINTY)] == ["b", "a"]
    assert [one.branch for one in in_order(findings, {"a": 9.0, "b": 0.0}, UNCERTAINTY)] == ["a", "b"]


def test_where_the_deciding_branch_explains_nothing_the_next_is_first() -> None:
    three = replace(UNCERTAINTY, branches={**UNCERTAINTY.branches, "silent": UNCERTAINTY.branches["a"]})
    findings = [finding("a", LEFT), finding("a", RIGHT), finding("b", RIGHT)]
    ordered = in_order(findings, {"a": 1.0, "b": 5.0, "silent": 9.0}, three)
    assert [(one.branch, one.box) for one in ordered] == [("b", RIGHT), ("a", LEFT), ("a", RIGHT)]


def make_test(folder: Path) -> pd.DataFrame:
    """Four logical anomalies whose defect is at the left: three detected, one of them without a mask."""
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[5, 2] = 255
    Image.fromarray(mask).save(folder / "m.png")
    rows = [(name, score, files) for name, score, files in
            (("p", 5.0, ["m.png"]), ("q", 5.0, ["m.png"]), ("r", 5.0, []), ("s", 0.5, ["m.png"]))]  # fmt: skip
    table = pd.DataFrame(rows, columns=["image_id", "score", "mask_files"])
    return table.assign(kind="logical", is_anomalous=True, height=10, width=20, a=5.0, b=0.0)


def test_detected_anomalies_with_a_mask_are_judged(tmp_path: Path) -> None:
    images = {"p": [finding("b", RIGHT), finding("a", LEFT)], "q": [finding("a", RIGHT)], "r": [], "s": []}
    measured = nested(explanation_metrics(make_test(tmp_path), Explanations(images, {}), FITTED, tmp_path))
    assert measured["detected_with_mask"] == {"all": 2, "logical": 2, "structural": 0}
    assert measured["hit_rate"]["logical"] == 0.5
    # The left half fits at 11 places, of which those at 0 to 2 hold column 2.
    assert measured["chance"]["all"] == pytest.approx(3 / 11)
    assert measured["hit_rate"]["structural"] == Undefined("no detected anomaly of this group has a mask")


def test_a_finding_without_a_component_names_none(tmp_path: Path) -> None:
    images = {name: [finding("a", LEFT, component=None)] for name in "pqrs"}
    measured = nested(explanation_metrics(make_test(tmp_path), Explanations(images, {}), FITTED, tmp_path))
    assert measured["hit_rate"]["all"] == 0.0


def test_methods_without_explanations(tmp_path: Path) -> None:
    test = pd.DataFrame({"image_id": ["p"]})
    assert checked_explanations(None, test) is NOTHING
    measured = nested(explanation_metrics(make_test(tmp_path), NOTHING, FITTED, tmp_path))
    assert measured["hit_rate"]["all"] == Undefined("the method has no explanations")
    with pytest.raises(UserError, match="test images without an explanation: p"):
        checked_explanations(Explanations({"v": [finding("a", LEFT)]}, {}), test)
    whole = Explanations({"p": [finding("a", LEFT)]}, {1: b"jpeg"})
    assert checked_explanations(whole, test) is whole
