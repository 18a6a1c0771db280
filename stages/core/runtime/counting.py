"""Of which part there are too many or too few, by the areas of kinds of parts in an image, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.core.runtime.explanation import WHOLE, Box, Explanation

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, UInt8

BRANCH = "parts"  # that these findings explain
TINY = 1e-12
FEWEST = 0.5  # of a part more or less, below which nothing is said of it
KEPT = 2  # findings: of an exchange, one part is too few and one too many


@dataclass(frozen=True)
class NumberModel:
    """What areas normal images have, and in which directions a part more or less moves them.

    Attributes:
        mean: m, of normal images.
        whitening: W, to uncorrelated areas of variance 1.
        shifts: mean shift of a part of each kind, after W.
        components: class in the label maps that most parts of each kind have; 0 for none.
    """

    mean: Float64[np.ndarray, " K"]
    whitening: Float64[np.ndarray, "K K"]
    shifts: Float64[np.ndarray, "K K"]
    components: Int64[np.ndarray, " K"]


@dataclass(frozen=True)
class NumberFinding:
    """That there are about `number` parts of a component class too many; too few where it is negative.

    Attributes:
        deviation: how far that moves the areas of an image, in standard deviations of normal images.
    """

    component: int
    number: float
    deviation: float


def number_findings(model: NumberModel, areas: Float64[np.ndarray, " K"]) -> list[NumberFinding]:
    """Say by which parts, more or fewer, an image's areas differ from normal ones; matching pursuit, at most KEPT."""
    rest = model.whitening @ (areas - model.mean)
    lengths = np.linalg.norm(model.shifts, axis=1)
    known = np.flatnonzero(lengths > TINY)
    found: list[NumberFinding] = []
    for _ in range(KEPT if len(known) else 0):
        along = model.shifts[known] @ rest / lengths[known]
        best = int(np.abs(along).argmax())
        kind, number = int(known[best]), float(along[best] / lengths[known[best]])
        if abs(number) < FEWEST:
            break
        found.append(NumberFinding(int(model.components[kind]), number, float(abs(along[best]))))
        rest = rest - number * model.shifts[kind]
    return found


def explain_numbers(found: Iterable[NumberFinding], label_map: UInt8[np.ndarray, "H W"]) -> list[Explanation]:
    """Return the findings as explanations of an image with this label map."""
    return [
        Explanation(BRANCH, one.component or None, "number", box_of(label_map, one.component), one.number, 0.0,
                    one.deviation)
        for one in found
    ]  # fmt: skip


def box_of(label_map: UInt8[np.ndarray, "H W"], component: int) -> Box:
    """Return where the class is in an image, all of it: of parts that lie anywhere, nobody knows which is one too many.

    The whole image where the class is the background or is not there.
    """
    rows, columns = np.nonzero(label_map == component) if component else (np.zeros(0), np.zeros(0))
    if not len(rows):
        return WHOLE
    height, width = label_map.shape
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    return (float(top / height), float(left / width), float(bottom / height), float(right / width))
