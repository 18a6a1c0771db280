"""Data of plots, as the stages wrote it for DVC."""

from pathlib import Path

import pandas as pd

from stages.core.running.errors import UserError


def read_csv(path: Path) -> pd.DataFrame:
    """Read plot data.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no readable plot data ({error}): run `dvc repro`") from None
