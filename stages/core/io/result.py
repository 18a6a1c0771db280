"""The waist: what every method ends in, and all that evaluation, report and export know of a method.

A result is a folder: `scores.parquet`; where the method has them `maps/` (anomaly maps, branch by branch if wanted),
`explanations/`, `review/` (the components it sees, for a person to judge), and `fusion.json` (how its branches were
combined).
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.core.io.components import NUMBERS
from stages.core.io.decision import read_choice, write_choice
from stages.core.io.explanations import Explanations, read_explanations, write_explanations
from stages.core.io.lineage import EXPLAINER_PART, SCORER_PART, content_hash
from stages.core.io.maps import AnomalyMaps, read_anomaly_maps, write_anomaly_maps
from stages.core.io.rotation import ROTATED
from stages.core.io.tables import read_table, write_table
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError
from stages.core.runtime.explaining import FILE as EXPLAINER_FILE

SCORES, MAPS, EXPLANATIONS, REVIEW, FUSION = "scores.parquet", "maps", "explanations", "review", "fusion.json"
SCORER = "scorer.json"  # of methods whose networks are one graph (`stages.core.encoder.scorer`)
BANK = "bank.safetensors"  # of methods with a memory bank (`stages.core.neighbours.memory`)
# split as in the image table, or "rotated"; score decides; every further column is one branch of the method
SCORE_COLUMNS = ("image_id", "split", "score")


@dataclass(frozen=True)
class MethodResult:
    """Scores of N images, higher is more anomalous, and what belongs to them.

    Attributes:
        scores: one row for each validation and test image and each with a synthetic defect: SCORE_COLUMNS, then a
            float column a branch. Only labelled anomalies of validation that the method learned from may be missing.
            Where validation rotates, also one for each training image that was held out in its turn, of split
            "rotated" (`stages.core.io.rotation`), unless the method knows of no turns.
        maps: of the images of `scores` but the rotated ones, which no picture shows; None where the method makes none.
        explanations: None where the method explains nothing.
        fusion: how the branches' scores become one, as JSON-able values; None where there is nothing to combine.
        review: a folder with the components that the method sees in training images and pictures of them
            (`stages.core.io.components`); None where it knows no components.
        warnings: what a person should know of the components besides what the review says; become part of it.
    """

    scores: pd.DataFrame
    maps: AnomalyMaps | None = None
    explanations: Explanations | None = None
    fusion: Mapping[str, Any] | None = None
    review: Path | None = None
    warnings: tuple[str, ...] = ()


def write_result(path: Path, result: MethodResult) -> None:
    """Write the folder, whole or not at all.

    Raises:
        ValueError: a score is not finite, an image_id occurs twice, or maps are not of the scored images.
    """
    scores = result.scores.sort_values("image_id")
    finite = np.isfinite(scores["score"].to_numpy(dtype=np.float64))
    if not finite.all():
        raise ValueError(f"{path}: the score of {scores['image_id'][~finite].iloc[0]} is not finite")
    with replacing_folder(path) as folder:
        write_table(folder / SCORES, scores, columns=SCORE_COLUMNS)
        if result.maps is not None:
            mapped = scores["image_id"][scores["split"] != ROTATED]
            if set(result.maps.image_ids) != set(mapped):
                raise ValueError(f"{path}: the maps are not of the {len(mapped)} scored images")
            write_anomaly_maps(folder / MAPS, result.maps)
        if result.explanations is not None:
            write_explanations(folder / EXPLANATIONS, result.explanations)
        if result.review is not None:
            shutil.copytree(result.review, folder / REVIEW)
            add_warnings(folder / REVIEW / NUMBERS, result.warnings)
        if result.fusion is not None:
            (folder / FUSION).write_text(json.dumps(result.fusion, indent=2) + "\n", encoding="utf-8")


def add_warnings(numbers: Path, warnings: Sequence[str]) -> None:
    """Add warnings to those that a review has."""
    if warnings:
        found = read_choice(numbers)
        write_choice(numbers, {**found, "warnings": [*found["warnings"], *warnings]})


def read_result(path: Path) -> MethodResult:
    """Read what `write_result` wrote; maps are opened, not loaded.

    Raises:
        UserError: a file is missing or damaged.
    """
    scores = read_table(path / SCORES, columns=SCORE_COLUMNS)
    maps = read_anomaly_maps(path / MAPS) if (path / MAPS).exists() else None
    explanations = read_explanations(path / EXPLANATIONS) if (path / EXPLANATIONS).exists() else None
    review = path / REVIEW if (path / REVIEW).exists() else None
    return MethodResult(scores, maps, explanations, _read_fusion(path / FUSION), review)


def result_lineage(path: Path) -> dict[str, str]:
    """Return the sha256 of what a calibration of this result is made from: its scores, and what made and fused them."""
    files = {"scores": path / SCORES, "fusion": path / FUSION, "bank": path / BANK, SCORER_PART: path / SCORER,
             EXPLAINER_PART: path / EXPLANATIONS / EXPLAINER_FILE}  # fmt: skip
    return {part: content_hash(file) for part, file in files.items() if file.exists()}


def _read_fusion(path: Path) -> Mapping[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}): delete it and run `dvc repro`") from None


def branch_names(scores: pd.DataFrame) -> list[str]:
    """Return the method's branch columns, in the table's order."""
    return [name for name in scores.columns if name not in SCORE_COLUMNS]


def rows_to_score(images: pd.DataFrame) -> pd.DataFrame:
    """Return what a method scores of an image table, all but train, by image_id: image_id, split, file."""
    return images.loc[images["split"] != "train", ["image_id", "split", "file"]].sort_values("image_id")
