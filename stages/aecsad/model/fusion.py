"""Bring scores of different branches to one scale and combine them.

Fitted fusions as JSON, for the predict command and for people.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64
from scipy.stats import norm, truncnorm

from stages.core.run.atomic import replacing_file

TRIM = (0.2, 0.8)
TRIMMED_STD = float(truncnorm(*norm.ppf(TRIM)).std())  # of the middle of a standard normal variable: 0.46
Scores = Float64[np.ndarray, " N"]
Combination = Literal["sum", "fisher"]


@dataclass(frozen=True)
class TrimmedZ:
    """z = (s - mean) / std with statistics of normal validation scores."""

    mean: float
    std: float

    def __call__(self, scores: Scores) -> Scores:
        return (scores - self.mean) / self.std


def fit_trimmed_z(validation: Scores) -> TrimmedZ:
    """Statistics of the scores strictly between the 20 % and the 80 % quantile.

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
    """One column of a branch: its scale and its weight, 0 when it stays out."""

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
        """The fused score, and the trimmed z of every branch in use by name."""
        scores = {branch.name: branch(columns) for branch in self.branches if branch.used}
        weights = {branch.name: branch.weight for branch in self.branches}
        terms = {name: evidence(score) if self.combination == "fisher" else score for name, score in scores.items()}
        return np.sum([weights[name] * term for name, term in terms.items()], axis=0), scores

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def evidence(scores: Scores) -> Scores:
    """-log p of a trimmed z, p the share of normal images that would score as high or higher: 0.7 for the typical one.

    An anomaly that one branch sees clearly is not outvoted by branches that see nothing, as it is in a plain sum: the
    term grows with the square of a high score and is close to 0 for every low one. Normal images are taken as normally
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
        weights: of each column; a branch whose columns all have weight 0 stays out.
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
    """Sum of weight times scaled score; columns of weight 0 are not looked at."""
    count = len(next(iter(values.values())))
    terms = [column.weight * column.scale(values[column.name]) for column in columns if column.weight > 0]
    return np.sum(terms, axis=0) if terms else np.zeros(count)


def fusion_from_json(value: Mapping[str, Any]) -> Fusion:
    """The inverse of `Fusion.to_json`.

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


def write_fusion(path: Path, fusion: Fusion) -> None:
    """Write the file whole or not at all."""
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(fusion.to_json(), indent=2) + "\n", encoding="utf-8")
