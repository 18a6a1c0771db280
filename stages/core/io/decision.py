"""Choices: what a stage decided by itself, why, and the numbers behind it; small JSON, tracked by git."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError


def write_choice(path: Path, choice: Mapping[str, Any]) -> None:
    """Write JSON that `dvc metrics` can show and compare.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(choice, indent=2, allow_nan=False) + "\n"
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_choice(path: Path) -> dict[str, Any]:
    """Read a choice.

    Raises:
        UserError: the file is not a JSON object.
    """
    try:
        choice = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable choice ({error}): delete it and run `dvc repro`") from None
    if not isinstance(choice, dict):
        raise UserError(f"{path}: not a JSON object: delete it and run `dvc repro`")
    return choice
