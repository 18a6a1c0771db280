"""The final score from the scaled branches."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from stages.aecsad.plus.branches import KEYS, columns_of_branches
from stages.core.fusion import Combination, Fusion, Scores, fit_fusion
from stages.core.running.errors import UserError


def fuse(
    scores: pd.DataFrame,
    histogram: Mapping[str, float],
    branch_weights: Mapping[str, float],
    *,
    combination: Combination,
) -> tuple[pd.DataFrame, Fusion]:
    """Fit the fusion on split "validation", which holds normal images only, and score every row.

    Args:
        scores: one row an image with the columns of all branches.
        histogram: weight of each histogram column.
        branch_weights: of each branch.
        combination: see stages.core.fusion.Fusion.

    Returns:
        A score table (stages.core.artifacts.scores) with one column a branch in use, and the fitted fusion.

    Raises:
        UserError: every branch is constant.
    """
    if not any(branch_weights.values()):
        raise UserError(
            "every branch gives all images the same score: there is nothing to score with; look whether the images "
            "differ at all"
        )
    columns = columns_of_branches(scores, histogram)
    weights = {**dict.fromkeys(columns, 1.0), **histogram}
    validation = columns_of(scores[scores["split"] == "validation"])
    fusion = fit_fusion(columns, weights, validation, branch_weights=branch_weights, combination=combination)
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


def columns_of(scores: pd.DataFrame) -> dict[str, Scores]:
    """The float columns as arrays by name."""
    return {name: scores[name].to_numpy(dtype=np.float64) for name in scores.columns if name not in KEYS}
