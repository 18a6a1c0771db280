"""Lineage: every trained part names, by sha256, the parts that it was made from, so that a mixed set is noticed.

Only content counts: the same run gives the same bytes, and a part that a retraining left as it was still fits. JSON
files hold the record under MADE_FROM, arrays (`.npz`) under the same name as JSON text. A part that was made from data
alone has none.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.io.arrays import read_arrays
from stages.core.run.errors import UserError

MADE_FROM = "made_from"
SCORER_PART, EXPLAINER_PART = "scorer", "explainer"  # what calibrations and bundles call these parts
ARRAYS = ".npz"
Lineage = Mapping[str, str]  # sha256 by part


def content_hash(path: Path) -> str:
    """Return the sha256 of a file's content.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror}): run `dvc repro`") from None


def as_array(made_from: Lineage) -> dict[str, np.ndarray]:
    """Return the record as the entry of an `.npz` file; no entry where there is nothing to record."""
    return {MADE_FROM: np.array(json.dumps(dict(made_from), sort_keys=True))} if made_from else {}


def read_lineage(path: Path) -> dict[str, str]:
    """Read what a part was made from.

    Raises:
        UserError: the file is damaged, or was written without a record.
    """
    try:
        found = _record(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: does not say what it was made from ({error!r}): run `dvc repro`") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UserError(f"{path}: does not say what it was made from ({found!r}): run `dvc repro`")
    return found


def _record(path: Path) -> Any:
    if path.suffix == ARRAYS:
        return json.loads(str(read_arrays(path, [MADE_FROM])[MADE_FROM]))
    return json.loads(path.read_text(encoding="utf-8"))[MADE_FROM]
