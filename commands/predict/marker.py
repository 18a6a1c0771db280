"""The file that marks a folder as results of `oddpart predict`; it says whether they are whole and where from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.run.atomic import replacing_file

MARKER = "run.json"
MADE_BY = "oddpart predict"


def write_marker(folder: Path, *, run: str, complete: bool, about: Mapping[str, Any]) -> None:
    """Mark a folder.

    Args:
        folder: of the results.
        run: differs from that of every other run.
        complete: whether all images were tried.
        about: product, trained parts by sha256, and counts.
    """
    content = {"made_by": MADE_BY, "run": run, "complete": complete, **about}
    with replacing_file(folder / MARKER) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return what marks a folder as results; None for any other folder."""
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("made_by") == MADE_BY else None


def is_results(folder: Path) -> bool:
    """Whether a folder holds results of this command, whole or not."""
    return read_marker(folder) is not None
