"""Write the method's scores and maps in the layout every method ends in."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float16

from stages.core.artifacts.anomaly_maps import write_anomaly_maps
from stages.core.artifacts.explanations import Explanation, write_explanations
from stages.core.artifacts.scores import write_scores
from stages.core.running.atomic import replacing_folder


def write_method(
    folder: Path,
    scores: pd.DataFrame,
    maps: Float16[np.ndarray, "N h w"],
    branches: Mapping[str, Float16[np.ndarray, "N H W"]],
    findings: Mapping[str, Sequence[Explanation]],
    pictures: Mapping[int, Path],
) -> None:
    """Write `folder`/scores.parquet, `folder`/maps and `folder`/explanations, all or nothing.

    Args:
        branches: what `maps` was made from, branch by branch.
        findings, pictures: see stages.core.artifacts.explanations.Explanations.
    """
    with replacing_folder(folder) as temporary:
        write_scores(temporary / "scores.parquet", scores)
        write_anomaly_maps(temporary / "maps", list(scores["image_id"]), maps, branches)
        contents = {component: file.read_bytes() for component, file in pictures.items()}
        write_explanations(temporary / "explanations", findings, contents)
