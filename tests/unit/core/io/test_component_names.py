"""Names of components: what the section may hold, and what is said of names that nothing has."""

from typing import Any

import pytest

from stages.core.io.component_names import check_names, warn_of_unknown
from stages.core.run.errors import UserError
from tests.table import violations


def test_names_are_read() -> None:
    def check(section: Any, expected: dict[str, dict[int, str]]) -> None:
        assert check_names(section, ["tray"]) == expected

    rows = [
        ({}, {}),
        (None, {}),  # only comments below it
        ({"tray": {1: " label ", "2": "café <b>"}}, {"tray": {1: "label", 2: "café <b>"}}),
    ]
    assert violations(check, rows) == []


def test_what_is_no_name_is_refused() -> None:
    def check(section: Any, where: str) -> None:
        with pytest.raises(UserError, match=rf"params\.yaml: {where}"):
            check_names(section, ["tray"])

    rows = [
        ({"tray": {0: "background"}}, r"components\.tray has the key 0: "),
        ({"tray": {-1: "x"}}, r"components\.tray has the key -1: "),
        ({"tray": {"label": 1}}, r"components\.tray has the key 'label': "),
        ({"tray": {1: 5}}, r"components\.tray\.1"),
        ({"tray": {1: "  "}}, r"components\.tray\.1"),
        ({"tray": {1: "x" * 61}}, r"components\.tray\.1"),
        ({"tray": ["label"]}, r"components\.tray"),
        (["tray"], "components"),
    ]
    assert violations(check, rows) == []


def test_names_that_nothing_has_are_said(caplog: pytest.LogCaptureFixture) -> None:
    check_names({"try": {1: "label"}, "tray": {1: "label"}}, ["tray"])
    assert "components: no key of `categories`: try" in caplog.text
    caplog.clear()
    warn_of_unknown({1: "label", 3: "cap"}, range(1, 3), product="tray")
    assert "components.tray: there is no component 3" in caplog.text
    caplog.clear()
    warn_of_unknown({1: "label"}, range(1, 3), product="tray")
    assert caplog.text == ""
