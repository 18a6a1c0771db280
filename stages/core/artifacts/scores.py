"""Scores: what every method ends in. Higher is more anomalous."""

from pathlib import Path

import numpy as np
import pandas as pd

from stages.core.artifacts.tables import read_table, write_table

# split as in the image table; score decides; every further column is one branch of the method
SCORE_COLUMNS = ("image_id", "split", "score")


def write_scores(path: Path, scores: pd.DataFrame) -> None:
    """Write one row for each validation and test image (SCORE_COLUMNS, then a float column a branch).

    Only labelled anomalies of validation that the method learned from may be left out.

    Raises:
        ValueError: a score is not finite.
    """
    finite = np.isfinite(scores["score"].to_numpy(dtype=np.float64))
    if not finite.all():
        raise ValueError(f"{path}: the score of {scores['image_id'][~finite].iloc[0]} is not finite")
    write_table(path, scores.sort_values("image_id"), columns=SCORE_COLUMNS)


def read_scores(path: Path) -> pd.DataFrame:
    """Read the scores, sorted by image_id."""
    return read_table(path, columns=SCORE_COLUMNS)


def branch_names(scores: pd.DataFrame) -> list[str]:
    """The method's branch columns, in the table's order."""
    return [name for name in scores.columns if name not in SCORE_COLUMNS]
