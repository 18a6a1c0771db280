"""Training curves as CSV files that git keeps and DVC draws."""

from pathlib import Path

import pandas as pd

from stages.core.running.atomic import replacing_file


def write_training_curve(path: Path, curve: pd.DataFrame) -> None:
    """Write a table of `stages.core.training.training_curve` with 6 significant digits, an empty cell for NaN.

    Where nothing was trained the file has only its header.
    """
    with replacing_file(path) as temporary:
        curve.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
