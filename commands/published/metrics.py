"""Metrics of our methods as evaluation writes them: a file for each category, in it every method."""

import json
from pathlib import Path
from typing import Any

from stages.core.run.errors import UserError


def method_metrics(path: Path, method: str) -> dict[str, Any]:
    """What an evaluation says of one method.

    Raises:
        UserError: the file is missing or damaged, or the method is not in it.
    """
    content = read_json(path)
    if not isinstance(content.get(method), dict):
        known = ", ".join(name for name, value in content.items() if isinstance(value, dict)) or "none"
        raise UserError(f"{path}: no method {method}: evaluated are {known}")
    return dict(content[method])


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}): run `dvc repro`") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object: run `dvc repro`")
    return content
