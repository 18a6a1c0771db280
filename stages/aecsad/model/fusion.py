"""Join the score tables of a method's branches, bring them to one scale and combine them.

A fitted fusion goes into a result as JSON: `predict` scores new images by it, and a person can read it.

The scales come from the same normal validation images as the threshold. An image that helped to fit a scale looks more
usual on it than a new one does, most of all where there are few. A new image therefore gets the place among the
validation images that it has when it helps to fit the scales as they did (full conformal prediction: Vovk, Gammerman,
Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2). Normal images then take every place equally often.
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
BLOCK = 256  # new images whose scales are fitted at once: bounds the memory
TRIMMED_STD = float(truncnorm(*norm.ppf(TRIM)).std())  # of the middle of a standard normal variable: 0.46
Scores = Float64[np.ndarray, "*B N"]
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

    Validation images get the score of the fit, every other one that of a new image (see `Fusion`).

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
    """z = (s - mean) / std with statistics of normal validation scores; arrays (*B, 1) for B sets of scores at once."""

    mean: float | Float64[np.ndarray, "*B 1"]
    std: float | Float64[np.ndarray, "*B 1"]

    def __call__(self, scores: Scores) -> Scores:
        """Scale the scores."""
        return (scores - self.mean) / self.std


def fit_trimmed_z(validation: Scores) -> TrimmedZ:
    """Fit on the scores strictly between the 20 % and the 80 % quantile.

    AeCSAD thesis 4.17; population standard deviation as in CSAD's code, 1 where there is no spread. Where nothing
    lies between the quantiles that code gives NaN; here the untrimmed statistics are taken.

    Args:
        validation: of normal images only, N >= 1; several sets of them, one a row, are fitted each by itself.

    Raises:
        ValueError: no score, or a score that is not finite.
    """
    if not validation.size or not np.isfinite(validation).all():
        raise ValueError(f"validation scores must be finite and at least one, got {validation}")
    low, high = np.quantile(validation, TRIM, axis=-1, keepdims=True)
    kept = (validation > low) & (validation < high)
    kept |= ~kept.any(axis=-1, keepdims=True)
    mean, std = (measure(validation, axis=-1, keepdims=True, where=kept) for measure in (np.mean, np.std))
    std = np.where(std > 0, std, 1.0)
    return TrimmedZ(mean.item(), std.item()) if validation.ndim == 1 else TrimmedZ(mean, std)


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


Combined = tuple[Scores, dict[str, Scores]]  # the fused score, and the trimmed z of every branch in use by name


def combined(branches: Sequence[Branch], combination: Combination, columns: Mapping[str, Scores]) -> Combined:
    """Add the branches in use, as they are or, "fisher", their `evidence`."""
    scores = {branch.name: branch(columns) for branch in branches if branch.used}
    weights = {branch.name: branch.weight for branch in branches}
    terms = {name: evidence(score) if combination == "fisher" else score for name, score in scores.items()}
    return np.sum([weights[name] * term for name, term in terms.items()], axis=0), scores


@dataclass(frozen=True)
class Fusion:
    """The final score: the weighted sum of all branches in use, as they are or, "fisher", of their `evidence`.

    Attributes:
        normal: unscaled scores of the normal validation images by column, of the columns in use only.
    """

    branches: tuple[Branch, ...]
    combination: Combination
    normal: Mapping[str, tuple[float, ...]]

    def __call__(self, columns: Mapping[str, Scores]) -> Combined:
        """Score new images, each by itself: the score of `of_fitted`, moved where needed, see `at_its_place`.

        A validation image is known by its unscaled scores and keeps the score of `of_fitted`.
        """
        normal = {name: np.array(values) for name, values in self.normal.items()}
        (plain, plain_parts), (own, own_parts) = self.of_fitted(columns), self.of_fitted(normal)
        scores: list[Scores] = []
        parts: dict[str, list[Scores]] = {name: [] for name in plain_parts}
        for start in range(0, len(plain), BLOCK):
            block = slice(start, start + BLOCK)
            new = {name: columns[name][block] for name in normal}
            known = np.all([new[name][:, None] == normal[name] for name in normal], axis=0).any(axis=1)
            placed, placed_parts = self.refitted(normal, new)
            scores.append(np.where(known, plain[block], at_its_place(plain[block], own, placed)))
            for name, part in parts.items():
                moved = at_its_place(plain_parts[name][block], own_parts[name], placed_parts[name])
                part.append(np.where(known, plain_parts[name][block], moved))
        return np.concatenate(scores), {name: np.concatenate(part) for name, part in parts.items()}

    def of_fitted(self, columns: Mapping[str, Scores]) -> Combined:
        """Score the images that the scales were fitted on."""
        return combined(self.branches, self.combination, columns)

    def refitted(self, normal: Mapping[str, Scores], new: Mapping[str, Scores]) -> Combined:
        """Score n validation images and a new one by scales fitted on these n + 1 together, for each of M new ones.

        Returns:
            Arrays M x (n + 1), the new one last.
        """
        sets = {name: np.hstack([np.tile(normal[name], (len(new[name]), 1)), new[name][:, None]]) for name in normal}
        used = [branch for branch in self.branches if branch.used]
        names = {branch.name: [column.name for column in branch.columns if column.weight > 0] for branch in used}
        weights = {column.name: column.weight for branch in used for column in branch.columns}
        branch_weights = {branch.name: branch.weight for branch in used}
        return combined(fit_branches(names, weights, sets, branch_weights), self.combination, sets)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)


def at_its_place(
    plain: Float64[np.ndarray, " M"], own: Float64[np.ndarray, " n"], refitted: Float64[np.ndarray, "M n+1"]
) -> Float64[np.ndarray, " M"]:
    """Move scores of new images so that each lies above as many validation images as with its own help in the fit.

        r = |{i : s'_i < s'}|,    the score moves to the nearest one in (s_(r), s_(r+1)],  s_(0) = -inf,  s_(n+1) = inf

    Scores in one such interval keep their order, and a score that is in the right one already stays.

    Args:
        plain: scores of M new images by scales that were fitted without them.
        own: s, of the n validation images by the same scales.
        refitted: s' of the validation images and then of the new one, by scales fitted on these n + 1 together.
    """
    rank = (refitted[:, :-1] < refitted[:, -1:]).sum(axis=1)
    bounds = np.concatenate([[-np.inf], np.sort(own), [np.inf]])
    return np.asarray(np.minimum(np.maximum(plain, np.nextafter(bounds[rank], np.inf)), bounds[rank + 1]))


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
    fitted = fit_branches(branches, weights, validation, branch_weights)
    used = {column.name for branch in fitted if branch.used for column in branch.columns if column.weight > 0}
    if not used:
        raise ValueError("every branch has weight 0: nothing is left to score with")
    return Fusion(fitted, combination, {name: tuple(validation[name].tolist()) for name in sorted(used)})


def fit_branches(
    branches: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    normal: Mapping[str, Scores],
    branch_weights: Mapping[str, float] | None,
) -> tuple[Branch, ...]:
    """Fit the scales of `fit_fusion`; on several sets of scores, one a row, each by itself."""
    fitted = []
    for name, names in branches.items():
        columns = tuple(Column(column, fit_trimmed_z(normal[column]), weights[column]) for column in names)
        scale = fit_trimmed_z(weighted_sum(columns, normal))
        fitted.append(Branch(name, columns, scale, 1.0 if branch_weights is None else branch_weights[name]))
    return tuple(fitted)


def weighted_sum(columns: Sequence[Column], values: Mapping[str, Scores]) -> Scores:
    """Sum weight times scaled score; columns of weight 0 are not looked at."""
    terms = [column.weight * column.scale(values[column.name]) for column in columns if column.weight > 0]
    return np.sum(terms, axis=0) if terms else np.zeros_like(next(iter(values.values())))


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
        {name: tuple(scores) for name, scores in value["normal"].items()},
    )
