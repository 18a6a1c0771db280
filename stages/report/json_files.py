"""JSON that other stages wrote."""

import json
from pathlib import Path
from typing import Any

from stages.core.running.errors import UserError


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}): delete it and run `dvc repro`") from None
