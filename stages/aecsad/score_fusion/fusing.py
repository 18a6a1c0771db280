"""Weigh AeCSAD's branches and add them, as published or by what the histogram stage judged."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from stages.aecsad.model.fusion import HISTOGRAM, STUDENT_TEACHER, Fusion, fuse
from stages.aecsad.score_fusion.params import ScoreFusionParams
from stages.core.run.errors import UserError
from stages.core.runtime.conformal import Jackknife


def fuse_scores(
    scores: pd.DataFrame, choice: Mapping[str, Any], params: ScoreFusionParams, table: pd.DataFrame | None
) -> tuple[pd.DataFrame, Fusion]:
    """Fit the fusion on normal validation images and score every row.

    Args:
        scores: of stages.aecsad.model.fusion.join_branches.
        choice: the histogram stage's, from normal images only.
        table: of `read_jackknife`.

    Returns:
        See stages.aecsad.model.fusion.fuse.

    Raises:
        UserError: the choice has no weights, there is no validation image, or no branch with weight is in use.
    """
    columns = column_weights(choice, equal=params.histogram_columns == "equal")
    weights = params.branch_weights.model_dump()
    if not weights[STUDENT_TEACHER] and not (weights[HISTOGRAM] and any(columns.values())):
        raise UserError("no branch is left to score with: give student_teacher a weight in score_fusion.branch_weights")
    chosen = params.histogram_columns == "reliability"  # equal weights depend on no image
    without = None if table is None or not chosen else weights_without_each(table, columns, weights)
    return fuse(scores, columns, weights, without=without)


def weights_without_each(table: pd.DataFrame, columns: Iterable[str], branches: Mapping[str, float]) -> Jackknife:
    """Return the weights without one validation image: the histogram's columns change, the branches do not.

    Args:
        table: of `read_jackknife`.
        columns: of the histogram.
        branches: weight of each branch.
    """
    constant = {name: (weight,) * len(table) for name, weight in branches.items()}
    return Jackknife({name: tuple(table[name].to_list()) for name in columns}, constant)


def column_weights(choice: Mapping[str, Any], *, equal: bool) -> dict[str, float]:
    """Return the weight of each histogram column, as the histogram stage decided it.

    Args:
        equal: give every column weight 1 whatever was decided; but where there are no component classes, all
            distances are 0 and every column is excluded.

    Raises:
        UserError: the choice has no weights.
    """
    weights = choice.get("weights")
    if not isinstance(weights, dict) or not weights:
        raise UserError("the histogram stage's choice has no weights of columns: delete it and run `dvc repro`")
    if equal and choice["num_classes"] > 1:
        return {str(name): 1.0 for name in weights}
    return {str(name): float(weight) for name, weight in weights.items()}


def coverage_warnings(choice: Mapping[str, Any]) -> tuple[str, ...]:
    """Say where the histograms see no logical anomaly; nothing where they do.

    Args:
        choice: the histogram stage's.
    """
    if choice["covered"]:
        return ()
    return (
        "logical anomalies are not covered: no histogram of components separates pictures with a part cut out, pasted "
        "or exchanged from normal images",
    )
