"""What a method leaves for the evaluation: a folder with scores and, where it has them, anomaly maps."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.anomaly_maps import write_anomaly_maps
from stages.core.artifacts.scores import write_scores
from stages.core.running.atomic import replacing_folder


def write_method_result(path: Path, scores: pd.DataFrame, maps: Float16[np.ndarray, "N h w"] | None) -> None:
    """Write `path`/scores.parquet and, with maps in the order of the scores' rows, `path`/maps: all or nothing."""
    with replacing_folder(path) as folder:
        write_scores(folder / "scores.parquet", scores)
        if maps is not None:
            write_anomaly_maps(folder / "maps", scores["image_id"].to_list(), maps)
