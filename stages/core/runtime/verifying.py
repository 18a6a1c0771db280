"""Verify a bundle where it runs: its own test pictures must get the scores that the pipeline gave them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.core.runtime.errors import UserError
from stages.core.runtime.pictures import read_picture

if TYPE_CHECKING:
    from stages.core.runtime.bundle import Bundle

SCORES = 1e-4  # largest difference, as a fraction of the score


@dataclass(frozen=True)
class Verified:
    """What a test picture got.

    Attributes:
        picture: its file, below the bundle.
        expected: the pipeline's score.
        error: difference, as a fraction of the score.
    """

    picture: str
    score: float
    expected: float
    error: float


def verify(bundle: Bundle) -> Iterator[Verified]:
    """Judge the test pictures one by one.

    Raises:
        UserError: a score differs by more than SCORES, or what a variant allows, or a verdict differs; the picture and
            the branch are named.
    """
    variant = bundle.manifest["variant"]
    tolerance = SCORES if variant is None else float(variant["tolerance"])
    for picture in bundle.manifest["test_pictures"]:
        path = bundle.path / picture["file"]
        found = bundle.judge(read_picture(path, bundle.grey_range))
        error = score_error(bundle, found.score, picture["score"])
        if not error <= tolerance or bundle.calls(found.score) != picture["is_anomalous"]:
            raise UserError(
                f"{path}: scored {found.score:.6g}, when it was made {picture['score']:.6g}; "
                f"{worst_branch(found.branches, picture['branches'])}: install the versions of numpy, pillow and "
                "onnxruntime that constraints.txt names, or export on a machine of this kind"
            )
        yield Verified(picture["file"], found.score, picture["score"], error)


def score_error(bundle: Bundle, found: float, expected: float) -> float:
    """Return a difference as a fraction of what `Bundle.scale` says."""
    return abs(found - expected) / bundle.scale(expected)


def worst_branch(found: Mapping[str, float | None], expected: Mapping[str, float | None]) -> str:
    """Name the branch that differs most."""
    gaps = {
        name: math.inf if value is None or (ours := found.get(name)) is None else abs(ours - value)
        for name, value in expected.items()
        if value is not None or found.get(name) is not None
    }
    if not gaps:
        return "it has one branch"
    name = max(gaps, key=lambda one: gaps[one])
    return f"branch {name} differs most, {found.get(name)} instead of {expected[name]}"
