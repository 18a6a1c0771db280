"""What a method leaves for the evaluation: a folder with scores and, where it has them, anomaly maps.

Scores: what every method ends in. Higher is more anomalous.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.io.maps import write_anomaly_maps
from stages.core.io.tables import read_table, write_table
from stages.core.run.atomic import replacing_folder

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


def write_method_result(path: Path, scores: pd.DataFrame, maps: Float16[np.ndarray, "N h w"] | None) -> None:
    """Write `path`/scores.parquet and, with maps in the order of the scores' rows, `path`/maps: all or nothing."""
    with replacing_folder(path) as folder:
        write_scores(folder / "scores.parquet", scores)
        if maps is not None:
            write_anomaly_maps(folder / "maps", scores["image_id"].to_list(), maps)
