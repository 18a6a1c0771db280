"""Join the score tables of a method's branches, bring them to one scale and combine them.

A fitted fusion goes into a result as JSON: `predict` scores new images by it, and a person can read it.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import norm, truncnorm

from stages.core.io.result import SCORES
from stages.core.io.tables import read_table
from stages.core.run.errors import UserError

KEYS = ["image_id", "split"]
HISTOGRAM, STUDENT_TEACHER = "histogram", "student_teacher"
LOG = logging.getLogger(__name__)
TRIM = (0.2, 0.8)
TRIMMED_STD = float(truncnorm(*norm.ppf(TRIM)).std())  # of the middle of a standard normal variable: 0.46
Scores = Float64[np.ndarray, " N"]
Combination = Literal["sum", "fisher"]


def read_branches(histogram: Path, student_teacher: Path) -> dict[str, pd.DataFrame]:
    """Read the score tables of AeCSAD's two branches, without training images.

    Args:
        histogram, student_teacher: the folders of these stages.

    Raises:
        UserError: a table is missing or lacks a column.
    """
    students = [*KEYS, STUDENT_TEACHER]
    return {
        HISTOGRAM: read_table(histogram / SCORES, columns=KEYS).query("split != 'train'"),
        STUDENT_TEACHER: read_table(student_teacher / SCORES, columns=students)[students],
    }


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
) -> tuple[pd.DataFrame, "Fusion"]:
    """Fit the fusion on split "validation", which holds normal images only, and score every row.

    Args:
        scores: of `join_branches`.
        histogram: weight of each histogram column.
        branch_weights: of each branch.
        combination: see `Fusion`.

    Returns:
        A score table (stages.core.io.result) with one column for each branch in use, and the fitted fusion.

    Raises:
        UserError: there is no validation image.
        ValueError: no branch is in use.
    """
    validation = scores[scores["split"] == "validation"]
    if validation.empty:
        raise UserError("there is no normal validation image to normalise the scores on: check the split's ratios")
    branches = columns_of_branches(scores, histogram)
    weights = {**dict.fromkeys(branches, 1.0), **histogram}
    fusion = fit_fusion(
        branches, weights, columns_of(validation), branch_weights=branch_weights, combination=combination
    )
    for branch in fusion.branches:
        LOG.info(
            "branch %s: %s", branch.name, "in use" if branch.used else "excluded, it or all its columns have weight 0"
        )
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


@dataclass(frozen=True)
class TrimmedZ:
    """z = (s - mean) / std with statistics of normal validation scores."""

    mean: float
    std: float

    def __call__(self, scores: Scores) -> Scores:
        """Scale the scores."""
        return (scores - self.mean) / self.std


def fit_trimmed_z(validation: Scores) -> TrimmedZ:
    """Fit on the scores strictly between the 20 % and the 80 % quantile.

    AeCSAD thesis 4.17; population standard deviation as in CSAD's code, 1 where there is no spread. Where nothing
    lies between the quantiles that code gives NaN; here the untrimmed statistics are taken.

    Args:
        validation: of normal images only, N >= 1.

    Raises:
        ValueError: no score, or a score that is not finite.
    """
    if not len(validation) or not np.isfinite(validation).all():
        raise ValueError(f"validation scores must be finite and at least one, got {validation}")
    low, high = np.quantile(validation, TRIM)
    kept = validation[(validation > low) & (validation < high)]
    if not len(kept):
        kept = validation
    std = float(kept.std())
    return TrimmedZ(float(kept.mean()), std if std > 0 else 1.0)


@dataclass(frozen=True)
class Column:
    """One column of a branch: its scale and its weight, 0 where it is excluded."""

    name: str
    scale: TrimmedZ
    weight: float


@dataclass(frozen=True)
class Branch:
    """A weighted sum of scaled columns, scaled again; its own weight counts in the fusion only."""

    name: str
    columns: tuple[Column, ...]
    scale: TrimmedZ
    weight: float = 1.0

    def __call__(self, columns: Mapping[str, Scores]) -> Scores:
        """Return the branch's score of each image."""
        return self.scale(weighted_sum(self.columns, columns))

    @property
    def used(self) -> bool:
        """Whether it and any of its columns have weight."""
        return self.weight > 0 and any(column.weight > 0 for column in self.columns)


@dataclass(frozen=True)
class Fusion:
    """The final score: the weighted sum of all branches in use, as they are or, "fisher", of their `evidence`."""

    branches: tuple[Branch, ...]
    combination: Combination = "sum"

    def __call__(self, columns: Mapping[str, Scores]) -> tuple[Scores, dict[str, Scores]]:
        """Return the fused score, and the trimmed z of every branch in use by name."""
        scores = {branch.name: branch(columns) for branch in self.branches if branch.used}
        weights = {branch.name: branch.weight for branch in self.branches}
        terms = {name: evidence(score) if self.combination == "fisher" else score for name, score in scores.items()}
        return np.sum([weights[name] * term for name, term in terms.items()], axis=0), scores

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)


def evidence(scores: Scores) -> Scores:
    """Return -log p of a trimmed z, p the share of normal images that would score as high; 0.7 for the typical one.

    An anomaly that one branch sees clearly is not outvoted by branches that see nothing, as in a plain sum: the term
    grows with the square of a high score and is close to 0 for every low one. Normal images are taken as normally
    distributed; the trimmed z is in units of the spread of their middle, which is `TRIMMED_STD` of the whole spread.

    R. A. Fisher, Statistical Methods for Research Workers (4th ed. 1932), 21.1; with weights: I. J. Good, On the
    Weighted Combination of Significance Tests (JRSS B, 1955).
    """
    return np.asarray(-norm.logsf(TRIMMED_STD * scores))


def fit_fusion(
    branches: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    validation: Mapping[str, Scores],
    *,
    branch_weights: Mapping[str, float] | None = None,
    combination: Combination = "sum",
) -> Fusion:
    """Fit both levels of scaling on normal validation scores.

        S_branch = z( sum_i w_i z(s_i) ),    S = sum v_branch S_branch        (CSAD's code; thesis 4.18; there v = 1)
        "fisher":                            S = sum v_branch evidence(S_branch)

    Args:
        branches: the columns of each branch.
        weights: of each column; a branch whose columns all have weight 0 is excluded.
        validation: scores of normal validation images by column.
        branch_weights: v; 1 for each branch where None.

    Raises:
        ValueError: no column has weight.
    """
    fitted = []
    for name, names in branches.items():
        columns = tuple(Column(column, fit_trimmed_z(validation[column]), weights[column]) for column in names)
        scale = fit_trimmed_z(weighted_sum(columns, validation))
        fitted.append(Branch(name, columns, scale, 1.0 if branch_weights is None else branch_weights[name]))
    fusion = Fusion(tuple(fitted), combination)
    if not any(branch.used for branch in fusion.branches):
        raise ValueError("every branch has weight 0: nothing is left to score with")
    return fusion


def weighted_sum(columns: Sequence[Column], values: Mapping[str, Scores]) -> Scores:
    """Sum weight times scaled score; columns of weight 0 are not looked at."""
    count = len(next(iter(values.values())))
    terms = [column.weight * column.scale(values[column.name]) for column in columns if column.weight > 0]
    return np.sum(terms, axis=0) if terms else np.zeros(count)


def fusion_from_json(value: Mapping[str, Any]) -> Fusion:
    """Build a fusion from what `Fusion.to_json` returned.

    Raises:
        KeyError, TypeError: the value has another layout.
        ValueError: the combination is none of ours.
    """
    if value["combination"] not in get_args(Combination):
        raise ValueError(f"combination {value['combination']!r}: expected one of {', '.join(get_args(Combination))}")
    return Fusion(
        tuple(
            Branch(
                branch["name"],
                tuple(
                    Column(column["name"], TrimmedZ(**column["scale"]), column["weight"])
                    for column in branch["columns"]
                ),
                TrimmedZ(**branch["scale"]),
                branch["weight"],
            )
            for branch in value["branches"]
        ),
        value["combination"],
    )
