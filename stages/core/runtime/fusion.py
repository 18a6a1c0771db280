"""Bring the columns of a method's branches to one scale and combine them, for a new image and for validation images.

A new image gets its place among the validation images by scales that it helped to fit as they did, and by weights that
neither it nor the one it is compared with has chosen, see `stages.core.runtime.conformal`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np

from stages.core.runtime.conformal import Jackknife, at_its_place, beaten
from stages.core.runtime.scaling import TrimmedZ, evidence, fit_trimmed_z

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int

    from stages.core.runtime.scaling import Scores

    Weight = float | Float64[np.ndarray, "n 1"]  # for all images, or a row for each validation image of a jackknife
    Combined = tuple[Scores, dict[str, Scores]]  # the fused score, and the trimmed z of every branch in use by name

BLOCK = 2_000_000  # scores that are scaled at once, each new image with all validation images: bounds the memory
Combination = Literal["sum", "fisher", "by_kind"]


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

    @property
    def active(self) -> Bool[np.ndarray, "*n 1"] | Bool[np.ndarray, ""]:
        """The same for each validation image of a jackknife."""
        largest = functools.reduce(np.maximum, [np.asarray(column.weight) for column in self.columns], np.zeros(()))
        return np.asarray((np.asarray(self.weight) > 0) & (largest > 0))


@dataclass(frozen=True)
class Kind:
    """Branches that see anomalies of one kind.

    Attributes:
        scale: of the sum of their weighted evidence.
        weights: of its p in the harmonic mean, for each branch where it is in use; the largest counts.
    """

    name: str
    branches: tuple[str, ...]
    scale: TrimmedZ
    weights: tuple[float, ...]

    def weight(self, branches: Sequence[Branch]) -> Weight:
        """Return the weight of its p with these branches; any where none is active, as it says the same of all images.

        Args:
            branches: of all kinds.
        """
        active = {branch.name: branch.active for branch in branches}
        own = [
            np.where(active[name], weight, 0.0)
            for name, weight in zip(self.branches, self.weights, strict=True)
            if name in active
        ]
        largest = functools.reduce(np.maximum, own)
        return np.where(largest > 0, largest, 1.0)


def sum_of(terms: Sequence[Scores]) -> Scores:
    """Add arrays that broadcast to one shape."""
    return np.asarray(functools.reduce(np.add, terms))


@dataclass(frozen=True)
class Fusion:
    """The final score: the weighted sum of all branches in use, as they are or, "fisher", of their `evidence`.

    "by_kind": the evidence of the branches of each kind is added and becomes evidence itself; of the kinds' p-values
    the weighted harmonic mean counts, which is close to the smallest p / weight. An anomaly is mostly of one kind, and
    what the others say of it is noise.  D. J. Wilson, "The harmonic mean p-value for combining dependent tests", PNAS
    2019.

    Attributes:
        normal: unscaled scores of the images that calibrate by column, of the columns that places depend on only.
        without: weights without one validation image; None where these images did not choose them.
        kinds: of "by_kind"; each branch is of one.
    """

    KNOWN: ClassVar[float] = 5e-5  # of a column's largest; another library rounds otherwise, which whitening enlarges

    branches: tuple[Branch, ...]
    combination: Combination
    normal: Mapping[str, tuple[float, ...]]
    without: Jackknife | None = None
    kinds: tuple[Kind, ...] = ()

    def __call__(self, columns: Mapping[str, Scores]) -> Combined:
        """Score new images, each by itself: the score of `of_fitted`, moved where needed, see `at_its_place`.

        A validation image is known by its unscaled scores, up to KNOWN, and has its own score of `of_fitted`: scales
        that few images fitted, one upon the other, would make more of a last digit than a verdict bears.
        """
        normal = {name: np.array(values) for name, values in self.normal.items()}
        (plain, plain_parts), (own, own_parts) = self.of_fitted(columns), self.of_fitted(normal)
        scores: list[Scores] = []
        parts: dict[str, list[Scores]] = {name: [] for name in plain_parts}
        size = max(1, BLOCK // (len(own) * (len(own) + 1)))
        for start in range(0, len(plain), size):
            block = slice(start, start + size)
            new = {name: columns[name][block] for name in normal}
            same = np.all([self.same(new[name], normal[name]) for name in normal], axis=0)
            known, which = same.any(axis=1), same.argmax(axis=1)
            rank, ranks = self.places(normal, new)
            scores.append(np.where(known, own[which], at_its_place(plain[block], own, rank)))
            for name, part in parts.items():
                moved = at_its_place(plain_parts[name][block], own_parts[name], ranks[name])
                part.append(np.where(known, own_parts[name][which], moved))
        return np.concatenate(scores), {name: np.concatenate(part) for name, part in parts.items()}

    def same(self, new: Scores, normal: Scores) -> Bool[np.ndarray, "M n"]:
        """Report which new images have the score of which validation image.

        A small score is as uncertain as a large one of its column: both come from sums of terms of one size.
        """
        return np.asarray(np.abs(new[:, None] - normal) <= self.KNOWN * np.abs(normal).max(initial=0.0))

    @property
    def used(self) -> list[Branch]:
        """The branches in use."""
        return [branch for branch in self.branches if branch.used]

    def evidence(self, scores: Scores) -> Scores:
        """See `stages.core.runtime.scaling.evidence`."""
        return evidence(scores)

    def combined(self, branches: Sequence[Branch], columns: Mapping[str, Scores], kinds: Sequence[Kind]) -> Combined:
        """Add the branches as they are or, "fisher", their evidence, or that of the kinds."""
        scores = {branch.name: branch(columns) for branch in branches}
        weights = {branch.name: branch.weight for branch in branches}
        if self.combination == "sum":
            return sum_of([weights[name] * score for name, score in scores.items()]), scores
        terms = {name: weights[name] * self.evidence(score) for name, score in scores.items()}
        if self.combination == "fisher":
            return sum_of(list(terms.values())), scores
        sums = sums_of_kinds(kinds, terms)
        found = [
            np.log(kind.weight(branches)) + self.evidence(kind.scale(sums[kind.name]))
            for kind in kinds
            if kind.name in sums
        ]
        return np.asarray(functools.reduce(np.logaddexp, found)), scores

    def fitted_kinds(self, branches: Sequence[Branch], columns: Mapping[str, Scores]) -> tuple[Kind, ...]:
        """Return the kinds; of those with one of these branches the scale is fitted on these images."""
        if not self.kinds:
            return ()
        terms = {branch.name: branch.weight * self.evidence(branch(columns)) for branch in branches}
        sums = sums_of_kinds(self.kinds, terms)
        return tuple(
            replace(kind, scale=fit_trimmed_z(sums[kind.name])) if kind.name in sums else kind for kind in self.kinds
        )

    def of_fitted(self, columns: Mapping[str, Scores]) -> Combined:
        """Score the images that the scales were fitted on."""
        return self.combined(self.used, columns, self.kinds)

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
        branches = fit_branches(active, weights, sets, branch_weights)
        score, parts = self.combined(branches, sets, self.fitted_kinds(branches, sets))
        return beaten(score), {name: beaten(part) for name, part in parts.items()}

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Build a fusion from what `to_json` returned.

        Raises:
            KeyError, TypeError: the value has another layout.
            ValueError: the combination is none of ours.
        """
        if value["combination"] not in get_args(Combination):
            raise ValueError(
                f"combination {value['combination']!r}: expected one of {', '.join(get_args(Combination))}"
            )
        without = value["without"]
        if without is not None:
            rows = {
                key: {name: tuple(weights) for name, weights in without[key].items()} for key in ("columns", "branches")
            }
            without = Jackknife(**rows)
        return cls(
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
            tuple(
                Kind(kind["name"], tuple(kind["branches"]), TrimmedZ(**kind["scale"]), tuple(kind["weights"]))
                for kind in value["kinds"]
            ),
        )


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


def sums_of_kinds(kinds: Sequence[Kind], terms: Mapping[str, Scores]) -> dict[str, Scores]:
    """Add the terms of each kind's branches; a kind whose branches have none is not in use."""
    own = {kind.name: [terms[name] for name in kind.branches if name in terms] for kind in kinds}
    return {name: sum_of(found) for name, found in own.items() if found}


def weighted_sum(columns: Sequence[Column], values: Mapping[str, Scores]) -> Scores:
    """Sum weight times scaled score; columns of weight 0 are not looked at."""
    terms = [column.weight * column.scale(values[column.name]) for column in columns if np.any(column.weight > 0)]
    return sum_of(terms) if terms else np.zeros_like(next(iter(values.values())))
