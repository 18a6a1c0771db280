"""Fuse the branch scores of one product.

Write the scores and maps of the method in the layout every method ends in.
"""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from stages.aecsad.model.fusion import Fusion, Scores, fit_fusion
from stages.core.io.decision import read_choice
from stages.core.io.result import write_scores
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError

LOG = logging.getLogger(__name__)
KEYS = ["image_id", "split"]
STUDENT_TEACHER = "student_teacher"


def histogram_weights(path: Path, *, equal: bool) -> dict[str, float]:
    """The weight of each histogram column, as the histogram stage decided from normal images.

    Args:
        equal: give every column weight 1 whatever was decided; but where there are no component classes, all
            distances are 0 and every column stays out.

    Raises:
        UserError: the choice has no weights.
    """
    choice = read_choice(path)
    weights = choice.get("weights")
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{path}: no weights of histogram columns: delete it and run `dvc repro`")
    if equal and choice["num_classes"] > 1:
        return {str(name): 1.0 for name in weights}
    return {str(name): float(weight) for name, weight in weights.items()}


def join_branches(histogram: pd.DataFrame, student_teacher: pd.DataFrame) -> pd.DataFrame:
    """One row an image with the columns of both branches, joined on image_id.

    Raises:
        UserError: the two tables are not of the same images.
    """
    scored = histogram[histogram["split"] != "train"]
    joined = scored.merge(student_teacher, on=KEYS, how="outer", indicator=True, validate="one_to_one")
    alone = joined.loc[joined["_merge"] != "both", "image_id"]
    if len(alone):
        raise UserError(f"{len(alone)} images have scores of one branch only, {alone.iloc[0]} first: run `dvc repro`")
    return joined.drop(columns="_merge")


def fuse(
    scores: pd.DataFrame, weights: dict[str, float], *, branch_weights: Mapping[str, float]
) -> tuple[pd.DataFrame, Fusion]:
    """Fit the fusion on split "validation", which holds normal images only, and score every row.

    Args:
        scores: of `join_branches`.
        weights: of each histogram column, from normal images only.
        branch_weights: of "histogram" and "student_teacher".

    Returns:
        A score table (stages.core.io.result) with one column a branch in use, and the fitted fusion.

    Raises:
        UserError: there is no validation image, or no branch with weight is in use.
    """
    validation = scores[scores["split"] == "validation"]
    if validation.empty:
        raise UserError("there is no normal validation image to normalise the scores on: check the split's ratios")
    branches = {"histogram": sorted(weights), STUDENT_TEACHER: [STUDENT_TEACHER]}
    if not branch_weights[STUDENT_TEACHER] and not (branch_weights["histogram"] and any(weights.values())):
        raise UserError("no branch is left to score with: give student_teacher a weight in score_fusion.branch_weights")
    column_weights = {**weights, STUDENT_TEACHER: 1.0}
    fusion = fit_fusion(branches, column_weights, columns_of(validation), branch_weights=branch_weights)
    for branch in fusion.branches:
        LOG.info(
            "branch %s: %s", branch.name, "in use" if branch.used else "left out, it or all its columns have weight 0"
        )
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


def columns_of(scores: pd.DataFrame) -> dict[str, Scores]:
    """The float columns as arrays by name."""
    return {name: scores[name].to_numpy(dtype=np.float64) for name in scores.columns if name not in KEYS}


def write_method_scores(folder: Path, scores: pd.DataFrame, maps: Path, explanations: Path) -> None:
    """Write `folder`/scores.parquet and copy the anomaly maps to `folder`/maps, explanations likewise."""
    with replacing_folder(folder) as temporary:
        write_scores(temporary / "scores.parquet", scores)
        shutil.copytree(maps, temporary / "maps")
        shutil.copytree(explanations, temporary / "explanations")
