"""Log lines cannot control the terminal."""

import logging

from stages.core.run.console import HarmlessFormatter, printable
from tests.table import violations


def test_what_controls_the_terminal_is_written_as_an_escape() -> None:
    def check(name: str, shown: str) -> None:
        assert printable(name) == shown
        assert HarmlessFormatter("%(message)s").format(record("%s: is empty", name.split("\n")[-1])).isprintable()

    rows = [
        ("ä ß 漢 [bold] %s", "ä ß 漢 [bold] %s"),
        ("\x1b]0;title\x07.png", r"\x1b]0;title\x07.png"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("gnp.\u202eexe\u2069\u2028", r"gnp.\u202eexe\u2069\u2028"),
    ]
    assert violations(check, rows) == []


def test_line_breaks_of_a_message_stay() -> None:
    assert HarmlessFormatter("%(message)s").format(record("two findings:\n  - \x1b[31m", None)) == (
        "two findings:\n  - \\x1b[31m"
    )


def record(message: str, name: str | None) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "x", 1, message, None if name is None else (name,), None)
