"""Join the score tables of a method's branches, bring them to one scale and combine them.

A fitted fusion goes into a result as JSON: `predict` scores new images by it, and a person can read it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.aecsad.model.part_numbers import PARTS
from stages.aecsad.model.scaling import Scores, TrimmedZ, evidence
from stages.core.io.result import SCORES
from stages.core.io.rotation import calibrates
from stages.core.io.tables import read_table
from stages.core.run.errors import UserError
from stages.core.runtime.conformal import Jackknife
from stages.core.runtime.fusion import Branch, Combination, Kind, fit_branches
from stages.core.runtime.fusion import Fusion as RuntimeFusion

KEYS = ["image_id", "split"]
HISTOGRAM, STUDENT_TEACHER = "histogram", "student_teacher"
LOGICAL = (HISTOGRAM, PARTS)  # branches that see what an image is composed of; the others see what its places look like
# Structural branches look where the histogram looks and see what is wrong there, too, while it hardly sees structural
# anomalies: what it says is mostly noise. They do not see how many parts there are, wherever they lie.
AREAS_WEIGHT = 0.1
LOG = logging.getLogger(__name__)


def read_branches(histogram: Path, student_teacher: Path) -> dict[str, pd.DataFrame]:
    """Read the score tables of AeCSAD's two branches, without training images.

    Args:
        histogram, student_teacher: the folders of these stages.

    Raises:
        UserError: a table is missing or lacks a column.
    """
    students = [*KEYS, STUDENT_TEACHER]
    areas = read_table(histogram / SCORES, columns=KEYS).query("split != 'train'")
    return {
        HISTOGRAM: areas.drop(columns=PARTS, errors="ignore"),
        STUDENT_TEACHER: read_table(student_teacher / SCORES, columns=students)[students],
    }


def read_parts(histogram: Path) -> pd.DataFrame | None:
    """Read the column of numbers of parts, which is a branch by itself, without training images; None without it.

    Args:
        histogram: the folder of that stage.

    Raises:
        UserError: the table is missing.
    """
    table = read_table(histogram / SCORES, columns=KEYS).query("split != 'train'")
    return table[[*KEYS, PARTS]] if PARTS in table else None


def join_branches(branches: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row an image with the columns of all branches, sorted by image_id.

    Raises:
        UserError: the tables are not of the same images.
    """
    first, *others = branches.values()
    joined = first
    for table in others:
        joined = joined.merge(table, on=KEYS, validate="one_to_one")
    for name, table in branches.items():
        if alone := sorted(set(table["image_id"]) - set(joined["image_id"])):
            raise UserError(
                f"{len(alone)} images have a score of the branch {name} but not of every branch, {alone[0]} first: "
                "run `dvc repro`"
            )
    return joined.sort_values("image_id").reset_index(drop=True)


def columns_of_branches(scores: pd.DataFrame, histogram: Iterable[str]) -> dict[str, list[str]]:
    """Name the columns of each branch: `histogram` are the histograms', every other one is a branch by itself."""
    together = sorted(histogram)
    return {HISTOGRAM: together, **{name: [name] for name in scores.columns if name not in [*KEYS, *together]}}


def columns_of(scores: pd.DataFrame) -> dict[str, Scores]:
    """Return the float columns as arrays by name."""
    return {name: scores[name].to_numpy(dtype=np.float64) for name in scores.columns if name not in KEYS}


def fuse(
    scores: pd.DataFrame,
    histogram: Mapping[str, float],
    branch_weights: Mapping[str, float],
    *,
    combination: Combination = "sum",
    areas_weight: float = AREAS_WEIGHT,
    without: Jackknife | None = None,
) -> tuple[pd.DataFrame, "Fusion"]:
    """Fit the fusion on the rows that calibrate, normal images of validation or held out in turns, and score every row.

    These images get the score of the fit, every other one that of a new image (see `Fusion`).

    Args:
        scores: of `join_branches`.
        histogram: weight of each histogram column.
        branch_weights: of each branch.
        combination: see `Fusion`.
        areas_weight: see `kinds_of`.
        without: both weights without one validation image, where these images chose them; in the order of `scores`.

    Returns:
        A score table (stages.core.io.result) with one column for each branch in use, and the fitted fusion.

    Raises:
        UserError: there is no validation image.
        ValueError: no branch is in use.
    """
    validation = scores[calibrates(scores["split"])]
    if validation.empty:
        raise UserError("there is no normal validation image to normalise the scores on: check the split's ratios")
    branches = columns_of_branches(scores, histogram)
    weights = {**dict.fromkeys(branches, 1.0), **histogram}
    fusion = fit_fusion(
        branches,
        weights,
        columns_of(validation),
        branch_weights=branch_weights,
        combination=combination,
        areas_weight=areas_weight,
        without=without,
    )
    for branch in fusion.branches:
        LOG.info(
            "branch %s: %s", branch.name, "in use" if branch.used else "excluded, it or all its columns have weight 0"
        )
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


class Fusion(RuntimeFusion):
    """The fusion as results have it: to the last digit of SciPy's normal distribution, and validation images exact."""

    KNOWN = 0.0

    def evidence(self, scores: Scores) -> Scores:
        """See `stages.aecsad.model.scaling.evidence`."""
        return evidence(scores)


def fit_fusion(
    branches: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    validation: Mapping[str, Scores],
    *,
    branch_weights: Mapping[str, float] | None = None,
    combination: Combination = "sum",
    areas_weight: float = AREAS_WEIGHT,
    without: Jackknife | None = None,
) -> Fusion:
    """Fit both levels of scaling on normal validation scores.

        S_branch = z( sum_i w_i z(s_i) ),    S = sum v_branch S_branch        (CSAD's code; thesis 4.18; there v = 1)
        "fisher":                            S = sum v_branch evidence(S_branch)
        "by_kind":                    S = log sum over kinds u_kind exp evidence(z(sum v_branch evidence(S_branch)))

    Args:
        branches: the columns of each branch.
        weights: of each column; a branch whose columns all have weight 0 is excluded.
        validation: scores of normal validation images by column.
        branch_weights: v; 1 for each branch where None.
        areas_weight: u of the histogram alone, see `kinds_of`.
        without: w and v without one validation image.

    Raises:
        ValueError: no column has weight.
    """
    fitted = fit_branches(branches, weights, validation, branch_weights)
    used = columns_in_use(fitted)
    if not used:
        raise ValueError("every branch has weight 0: nothing is left to score with")
    if without is not None:
        used |= columns_in_use(fitted, without)
    normal = {name: tuple(validation[name].tolist()) for name in sorted(used)}
    kinds = kinds_of(branches, areas_weight=areas_weight) if combination == "by_kind" else ()
    fusion = Fusion(fitted, combination, normal, without, kinds)
    return replace(fusion, kinds=fusion.fitted_kinds(fusion.used, validation))


def kinds_of(branches: Iterable[str], *, areas_weight: float = AREAS_WEIGHT) -> tuple[Kind, ...]:
    """Return the kinds of anomalies that branches see, not fitted yet: logical ones those of LOGICAL.

    Args:
        branches: of all kinds.
        areas_weight: weight of the logical branches' p where the histogram is the only one in use; that of the
            structural ones' is 1, and that of the logical ones' where numbers of parts are judged.
    """
    names = list(branches)
    logical = tuple(name for name in names if name in LOGICAL)
    structural = tuple(name for name in names if name not in LOGICAL)
    unfitted = TrimmedZ(0.0, 1.0)
    weights = tuple(areas_weight if name == HISTOGRAM else 1.0 for name in logical)
    return Kind("logical", logical, unfitted, weights), Kind(
        "structural", structural, unfitted, (1.0,) * len(structural)
    )


def columns_in_use(branches: Sequence[Branch], without: Jackknife | None = None) -> set[str]:
    """Name the columns with weight in a branch with weight; of a jackknife those that have it without any image."""
    if without is None:
        return {column.name for branch in branches if branch.used for column in branch.columns if column.weight > 0}
    return {
        column.name
        for branch in branches
        for column in branch.columns
        if any(without.branches[branch.name]) and any(without.columns.get(column.name, (column.weight,)))
    }


def fusion_from_json(value: Mapping[str, Any]) -> Fusion:
    """See `stages.core.runtime.fusion.Fusion.from_json`."""
    return Fusion.from_json(value)
