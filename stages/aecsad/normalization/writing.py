"""Write the scores and maps of the method in the layout every method ends in."""

import shutil
from pathlib import Path

import pandas as pd

from stages.core.artifacts.scores import write_scores
from stages.core.running.atomic import replacing_folder


def write_method_scores(folder: Path, scores: pd.DataFrame, maps: Path, explanations: Path) -> None:
    """Write `folder`/scores.parquet and copy the anomaly maps to `folder`/maps, explanations likewise."""
    with replacing_folder(folder) as temporary:
        write_scores(temporary / "scores.parquet", scores)
        shutil.copytree(maps, temporary / "maps")
        shutil.copytree(explanations, temporary / "explanations")
