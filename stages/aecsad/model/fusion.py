"""Join the score tables of a method's branches, bring them to one scale and combine them.

A fitted fusion goes into a result as JSON: `predict` scores new images by it, and a person can read it.

A new image gets its place among the validation images by scales that it helped to fit as they did, and by weights that
neither it nor the one it is compared with has chosen, see stages.aecsad.model.conformal.
"""

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int

from stages.aecsad.model.conformal import Jackknife, at_its_place, beaten
from stages.aecsad.model.scaling import Scores, TrimmedZ, evidence, fit_trimmed_z
from stages.core.io.result import SCORES
from stages.core.io.rotation import calibrates
from stages.core.io.tables import read_table
from stages.core.run.errors import UserError

KEYS = ["image_id", "split"]
HISTOGRAM, STUDENT_TEACHER = "histogram", "student_teacher"
LOG = logging.getLogger(__name__)
BLOCK = 2_000_000  # scores that are scaled at once, each new image with all validation images: bounds the memory
Combination = Literal["sum", "fisher"]
Weight = float | Float64[np.ndarray, "n 1"]  # for all images, or a row for each validation image of a jackknife


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
    without: Jackknife | None = None,
) -> tuple[pd.DataFrame, "Fusion"]:
    """Fit the fusion on the rows that calibrate, normal images of validation or held out in turns, and score every row.

    These images get the score of the fit, every other one that of a new image (see `Fusion`).

    Args:
        scores: of `join_branches`.
        histogram: weight of each histogram column.
        branch_weights: of each branch.
        combination: see `Fusion`.
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
        without=without,
    )
    for branch in fusion.branches:
        LOG.info(
            "branch %s: %s", branch.name, "in use" if branch.used else "excluded, it or all its columns have weight 0"
        )
    fused, parts = fusion(columns_of(scores))
    return scores[KEYS].assign(score=fused, **parts).reset_index(drop=True), fusion


@dataclass(frozen=True)
class Column:
    """One column of a branch: its scale and its weight, 0 where it is excluded."""

    name: str
    scale: TrimmedZ
    weight: Weight


@dataclass(frozen=True)
class Branch:
    """A weighted sum of scaled columns, scaled again; its own weight counts in the fusion only."""

    name: str
    columns: tuple[Column, ...]
    scale: TrimmedZ
    weight: Weight = 1.0

    def __call__(self, columns: Mapping[str, Scores]) -> Scores:
        """Return the branch's score of each image."""
        return self.scale(weighted_sum(self.columns, columns))

    @property
    def used(self) -> bool:
        """Whether it and any of its columns have weight."""
        return bool(np.any(self.weight > 0)) and any(np.any(column.weight > 0) for column in self.columns)


Combined = tuple[Scores, dict[str, Scores]]  # the fused score, and the trimmed z of every branch in use by name


def combined(branches: Sequence[Branch], combination: Combination, columns: Mapping[str, Scores]) -> Combined:
    """Add the branches as they are or, "fisher", their `evidence`."""
    scores = {branch.name: branch(columns) for branch in branches}
    weights = {branch.name: branch.weight for branch in branches}
    terms = {name: evidence(score) if combination == "fisher" else score for name, score in scores.items()}
    return sum_of([weights[name] * term for name, term in terms.items()]), scores


def sum_of(terms: Sequence[Scores]) -> Scores:
    """Add arrays that broadcast to one shape."""
    return np.asarray(functools.reduce(np.add, terms))


@dataclass(frozen=True)
class Fusion:
    """The final score: the weighted sum of all branches in use, as they are or, "fisher", of their `evidence`.

    Attributes:
        normal: unscaled scores of the images that calibrate by column, of the columns that places depend on only.
        without: weights without one validation image; None where these images did not choose them.
    """

    branches: tuple[Branch, ...]
    combination: Combination
    normal: Mapping[str, tuple[float, ...]]
    without: Jackknife | None = None

    def __call__(self, columns: Mapping[str, Scores]) -> Combined:
        """Score new images, each by itself: the score of `of_fitted`, moved where needed, see `at_its_place`.

        A validation image is known by its unscaled scores and keeps the score of `of_fitted`.
        """
        normal = {name: np.array(values) for name, values in self.normal.items()}
        (plain, plain_parts), (own, own_parts) = self.of_fitted(columns), self.of_fitted(normal)
        scores: list[Scores] = []
        parts: dict[str, list[Scores]] = {name: [] for name in plain_parts}
        size = max(1, BLOCK // (len(own) * (len(own) + 1)))
        for start in range(0, len(plain), size):
            block = slice(start, start + size)
            new = {name: columns[name][block] for name in normal}
            known = np.all([new[name][:, None] == normal[name] for name in normal], axis=0).any(axis=1)
            rank, ranks = self.places(normal, new)
            scores.append(np.where(known, plain[block], at_its_place(plain[block], own, rank)))
            for name, part in parts.items():
                moved = at_its_place(plain_parts[name][block], own_parts[name], ranks[name])
                part.append(np.where(known, plain_parts[name][block], moved))
        return np.concatenate(scores), {name: np.concatenate(part) for name, part in parts.items()}

    def of_fitted(self, columns: Mapping[str, Scores]) -> Combined:
        """Score the images that the scales were fitted on."""
        return combined([branch for branch in self.branches if branch.used], self.combination, columns)

    def places(
        self, normal: Mapping[str, Scores], new: Mapping[str, Scores]
    ) -> tuple[Int[np.ndarray, " M"], dict[str, Int[np.ndarray, " M"]]]:
        """Count the validation images below each of M new ones, by the score and by each branch, see `beaten`."""
        sets = {
            name: np.hstack([np.tile(values, (len(new[name]), 1)), new[name][:, None]])[:, None]
            for name, values in normal.items()
        }
        weights: dict[str, Weight] = {one.name: one.weight for branch in self.branches for one in branch.columns}
        branch_weights: dict[str, Weight] = {branch.name: branch.weight for branch in self.branches}
        if self.without is not None:
            weights |= {name: np.array(values)[:, None] for name, values in self.without.columns.items()}
            branch_weights |= {name: np.array(values)[:, None] for name, values in self.without.branches.items()}
        names = {branch.name: [one.name for one in branch.columns if one.name in normal] for branch in self.branches}
        active = {name: columns for name, columns in names.items() if columns}
        score, parts = combined(fit_branches(active, weights, sets, branch_weights), self.combination, sets)
        return beaten(score), {name: beaten(part) for name, part in parts.items()}

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)


def fit_fusion(
    branches: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
    validation: Mapping[str, Scores],
    *,
    branch_weights: Mapping[str, float] | None = None,
    combination: Combination = "sum",
    without: Jackknife | None = None,
) -> Fusion:
    """Fit both levels of scaling on normal validation scores.

        S_branch = z( sum_i w_i z(s_i) ),    S = sum v_branch S_branch        (CSAD's code; thesis 4.18; there v = 1)
        "fisher":                            S = sum v_branch evidence(S_branch)

    Args:
        branches: the columns of each branch.
        weights: of each column; a branch whose columns all have weight 0 is excluded.
        validation: scores of normal validation images by column.
        branch_weights: v; 1 for each branch where None.
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
    return Fusion(fitted, combination, {name: tuple(validation[name].tolist()) for name in sorted(used)}, without)


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


def fit_branches(
    branches: Mapping[str, Sequence[str]],
    weights: Mapping[str, Weight],
    normal: Mapping[str, Scores],
    branch_weights: Mapping[str, Weight] | None,
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
    terms = [column.weight * column.scale(values[column.name]) for column in columns if np.any(column.weight > 0)]
    return sum_of(terms) if terms else np.zeros_like(next(iter(values.values())))


def fusion_from_json(value: Mapping[str, Any]) -> Fusion:
    """Build a fusion from what `Fusion.to_json` returned.

    Raises:
        KeyError, TypeError: the value has another layout.
        ValueError: the combination is none of ours.
    """
    if value["combination"] not in get_args(Combination):
        raise ValueError(f"combination {value['combination']!r}: expected one of {', '.join(get_args(Combination))}")
    without = value["without"]
    if without is not None:
        rows = {
            key: {name: tuple(weights) for name, weights in without[key].items()} for key in ("columns", "branches")
        }
        without = Jackknife(**rows)
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
        without,
    )
