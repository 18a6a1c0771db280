"""Write the method's scores and maps in the layout every method ends in."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.anomaly_maps import write_anomaly_maps
from stages.core.artifacts.scores import write_scores
from stages.core.running.atomic import replacing_folder


def write_method(
    folder: Path,
    scores: pd.DataFrame,
    maps: Float16[np.ndarray, "N h w"],
    branches: Mapping[str, Float16[np.ndarray, "N H W"]],
    explanations: Path,
) -> None:
    """Write `folder`/scores.parquet and `folder`/maps and copy the explanations, all or nothing.

    Args:
        branches: what `maps` was made from, branch by branch.
    """
    with replacing_folder(folder) as temporary:
        write_scores(temporary / "scores.parquet", scores)
        write_anomaly_maps(temporary / "maps", list(scores["image_id"]), maps, branches)
        shutil.copytree(explanations, temporary / "explanations")
