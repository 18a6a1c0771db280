"""Findings in words: what is unusual about which component, with and without a name for it."""

import pytest

from stages.core.runtime.explanation import Box, Explanation
from stages.core.runtime.wording import describe, where
from tests.table import violations

BOX: Box = (0.0, 0.0, 0.2, 0.2)
CELL: Box = (0.5, 0.25, 0.75, 0.5)
NAMES = {1: "label"}


def found(measure: str, observed: float, normal: float, *, component: int | None = 1, box: Box = BOX) -> Explanation:
    return Explanation("a", component, measure, box, observed, normal, 9.0)  # type: ignore[arg-type]


def test_findings_in_words() -> None:
    def check(finding: Explanation, expected: str) -> None:
        assert describe(finding, NAMES) == expected

    rows = [
        (found("missing", 0, 1), "label missing: upper left"),
        (found("missing", 0, 1, component=2), "component 2 missing: upper left"),
        (found("missing", 11, 12), "label missing: upper left, 11 instead of 12"),
        (found("missing", 12, 12), "label missing: upper left"),  # one of them is far from its place
        (found("extra", 2, 1), "label twice: upper left"),
        (found("extra", 3, 1), "label 3 times: upper left"),
        (found("extra", 13, 12), "label, one too many: upper left, 13 instead of 12"),
        (found("extra", 12, 12), "label, one too many: upper left"),
        (found("area", 0.14, 0.1), "label larger (1.4 x): upper left"),
        (found("area", 0.104, 0.1), "label larger (1.04 x): upper left"),
        (found("area", 0.1, 0.1), "label of normal size: upper left"),
        (found("area", 0.5, 0.01), "label larger (more than 10 x): upper left"),
        (found("place", 0.123, 0.0), "label displaced by 12 % of the picture's side: upper left"),
        (found("cell_area", 0.01, 0.0, box=CELL), "label elsewhere: row 3, column 2 of 4 x 4"),
        (found("cell_area", 0.0, 0.02, box=CELL), "label missing: row 3, column 2 of 4 x 4"),
        (found("cell_area", 0.01, 0.02, box=CELL), "label smaller (0.5 x): row 3, column 2 of 4 x 4"),
        (found("cell_area", 0.0, 0.02, component=0, box=CELL), "background covered: row 3, column 2 of 4 x 4"),
        (
            found("cell_area", 0.02, 0.0, component=0, box=CELL),
            "background in place of a component: row 3, column 2 of 4 x 4",
        ),
        (found("number", -1.2, 0.0), "label, one too few"),
        (found("number", 2.4, 0.0, component=2), "component 2, two too many"),
        (found("number", 0.5, 0.0, component=None), "part, one too many"),
    ]
    assert violations(check, rows) == []


def test_hot_spots_in_words() -> None:
    def check(classes: tuple[int, int] | None, component: int | None, expected: str) -> None:
        spot = Explanation("a", component, "hot_spot", (0.4, 0.4, 0.6, 0.6), 2.0, 1.0, 3.0, classes)
        assert describe(spot, NAMES) == f"unusual look at the centre, {expected}"

    rows = [
        ((1, 1), 1, "on label"),
        ((0, 0), None, "on no component"),
        ((2, 1), 2, "where normal images show component 2 and this one label"),
        ((1, 0), 1, "where normal images show label and this one no component"),
        (None, None, "on no component"),
        ((0, 0), 1, "next to label"),
    ]
    assert violations(check, rows) == []


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(KeyError, match="colour"):
        describe(found("colour", 1, 2), {})


def test_places_in_words() -> None:
    def check(box: Box, expected: str) -> None:
        assert where(box) == expected

    rows = [
        ((0, 0, 0.2, 0.2), "upper left"), ((0.4, 0.4, 0.6, 0.6), "centre"), ((0.9, 0.4, 1, 0.6), "bottom"),
        ((0.4, 0.8, 0.6, 1.0), "right side"), ((0, 0.4, 0.1, 0.5), "top"),
    ]  # fmt: skip
    assert violations(check, rows) == []
