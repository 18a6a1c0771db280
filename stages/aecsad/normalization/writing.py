"""Write the scores and maps of the method in the layout every method ends in."""

import json
import shutil
from pathlib import Path

import pandas as pd

from stages.core.artifacts.atomic import replacing_file, replacing_folder
from stages.core.artifacts.scores import write_scores
from stages.core.fusion import Fusion


def write_method_scores(folder: Path, scores: pd.DataFrame, maps: Path, explanations: Path) -> None:
    """Write `folder`/scores.parquet and copy the anomaly maps to `folder`/maps, explanations likewise."""
    with replacing_folder(folder) as temporary:
        write_scores(temporary / "scores.parquet", scores)
        shutil.copytree(maps, temporary / "maps")
        shutil.copytree(explanations, temporary / "explanations")


def write_fusion(path: Path, fusion: Fusion) -> None:
    """Write the fusion as JSON, for the predict command and for people."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(fusion.to_json(), indent=2) + "\n", encoding="utf-8")
