"""What a run says: log lines and one progress bar, both on standard error, and what no text of it may do."""

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

CONSOLE = Console(stderr=True, width=None if sys.stderr.isatty() else 200)  # a log file should not be wrapped at 80
# C0 and C1, line and paragraph separators, marks of direction
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # a cell that begins so is computed by spreadsheets
Item = TypeVar("Item")


def set_up_logging() -> None:
    """Send log records of level INFO and above through rich; a second call changes nothing."""
    handler = RichHandler(console=CONSOLE, show_path=False, markup=False, rich_tracebacks=False)
    handler.setFormatter(HarmlessFormatter("%(message)s", datefmt="[%X]"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("httpx", "timm", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class HarmlessFormatter(logging.Formatter):
    """Formats records so that a file's name in them cannot control the terminal; line breaks stay."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def printable(text: str) -> str:
    """Write what moves the cursor, changes colours, breaks the line or turns the direction of writing as an escape."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def harmless_cell(text: str) -> str:
    """Return a text that no spreadsheet computes; a path with ./ before it stays the same path."""
    return f"./{text}" if text.startswith(FORMULA) else text


def progress(items: Iterable[Item], *, total: int, label: str) -> Iterator[Item]:
    """Yield the items and move a progress bar that reads `label`; silent where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as bar:
        yield from bar.track(items, total=total, description=label)
