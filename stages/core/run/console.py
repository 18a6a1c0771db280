"""What a run says: log lines and one progress bar, both on standard error."""

import logging
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

CONSOLE = Console(stderr=True, width=None if sys.stderr.isatty() else 200)  # a log file should not be wrapped at 80
Item = TypeVar("Item")


def set_up_logging() -> None:
    """Send log records of level INFO and above through rich; a second call changes nothing."""
    handler = RichHandler(console=CONSOLE, show_path=False, markup=False, rich_tracebacks=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", datefmt="[%X]", handlers=[handler])
    for chatty in ("httpx", "timm", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def progress(items: Iterable[Item], *, total: int, label: str) -> Iterator[Item]:
    """Yield the items and move a progress bar that reads `label`; silent where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal) as bar:
        yield from bar.track(items, total=total, description=label)
