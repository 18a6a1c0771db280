"""What a stage decides by itself: the verdict, the numbers behind it and the reason, as small JSON tracked by git."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError

DECIMALS = 4  # of every number in these files


@dataclass(frozen=True)
class Decision:
    """Base of every decision with a reason.

    A subclass is a frozen dataclass of its verdict (a `weight`, a name, whether something is `plausible`), the numbers
    behind it, and the `reason` (or several `reasons`) in words.
    """

    def as_json(self) -> dict[str, Any]:
        """Return the fields in their order, numbers rounded to DECIMALS."""
        return rounded(asdict(self))


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with each float rounded to DECIMALS, also those of mappings inside."""
    return {key: _rounded(value) for key, value in values.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return rounded(value)
    return round(value, DECIMALS) if isinstance(value, float) else value


def write_choice(path: Path, choice: Mapping[str, Any]) -> None:
    """Write JSON that `dvc metrics` can show and compare.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(choice, indent=2, allow_nan=False) + "\n"
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_choice(path: Path) -> dict[str, Any]:
    """Read what `write_choice` wrote.

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
