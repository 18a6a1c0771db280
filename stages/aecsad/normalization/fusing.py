"""Fuse the branch scores of one product."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from stages.core.artifacts.choices import read_choice
from stages.core.errors import UserError
from stages.core.fusion import Fusion, Scores, fit_fusion

LOG = logging.getLogger(__name__)
KEYS = ["image_id", "split"]
STUDENT_TEACHER = "student_teacher"


def histogram_weights(path: Path) -> dict[str, float]:
    """The weight of each histogram column, as the histogram room decided from normal images.

    Raises:
        UserError: the choice has no weights.
    """
    weights = read_choice(path).get("weights")
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"{path}: no weights of histogram columns: delete it and run `dvc repro`")
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


def fuse(scores: pd.DataFrame, weights: dict[str, float]) -> tuple[pd.DataFrame, Fusion]:
    """Fit the fusion on split "validation", which holds normal images only, and score every row.

    Args:
        scores: of `join_branches`.
        weights: of each histogram column, from normal images only; the student-teacher branch has weight 1.

    Returns:
        A score table (stages.core.artifacts.scores) with one column a branch in use, and the fitted fusion.

    Raises:
        UserError: there is no validation image.
    """
    validation = scores[scores["split"] == "validation"]
    if validation.empty:
        raise UserError("there is no normal validation image to normalise the scores on: check the split's ratios")
    branches = {"histogram": sorted(weights), STUDENT_TEACHER: [STUDENT_TEACHER]}
    fusion = fit_fusion(branches, {**weights, STUDENT_TEACHER: 1.0}, columns_of(validation))
    for branch in fusion.branches:
        LOG.info("branch %s: %s", branch.name, "in use" if branch.used else "left out, all its columns have weight 0")
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


def columns_of(scores: pd.DataFrame) -> dict[str, Scores]:
    """The float columns as arrays by name."""
    return {name: scores[name].to_numpy(dtype=np.float64) for name in scores.columns if name not in KEYS}
