"""Judge a column of distances on normal images alone: what it sees of edited pictures, and how it carries over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64

from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.conformal import LARGEST
from stages.aecsad.model.edited import Seen, see_edits
from stages.core.io.decision import Decision
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class Reliability(Decision):
    """Weight of one column in the fusion, and why.

    Attributes:
        weight: from 0, excluded, to 1.
        edit_auroc: probability that an edited picture scores above a normal image, mean over the kinds of edits; 0.5
            where there is no edit.
        edits: the same for each kind of edit.
        inflation: median distance of held-out normal images over that of training images.
    """

    weight: float
    edit_auroc: float
    edits: Mapping[str, float]
    inflation: float
    reason: str


def judge_column(
    *,
    train: Float64[np.ndarray, " N"],
    validation: Float64[np.ndarray, " V"],
    seen: Seen,
    min_edit_auroc: float,
    max_inflation: float,
) -> Reliability:
    """Weigh a column by what it sees of edited pictures, and by how well it carries over to unseen normal images.

        weight = (2 AUROC - 1) / max(1, inflation),
        0 where AUROC < min_edit_auroc or may be chance, or inflation > max_inflation

    A histogram finer than the training images support fits them closely: unseen normal images then lie far out, and
    real anomalies no farther, though edits of the same image look easy.

    Args:
        train, validation: distances of normal images.
        seen: edited pictures against these validation images.
        min_edit_auroc, max_inflation: limits.
    """
    inflation = inflation_of(train, validation)
    kinds = ", ".join(f"{kind} {auroc:.0%}" for kind, auroc in seen.kinds.items()) or "there are none"
    reason = (
        f"sees {seen.auroc:.1%} of edited pictures ({kinds}), "
        f"held-out normals {inflation:.2f} times as far as training normals"
    )
    fault = ""
    if not validation.any() and seen.auroc == 0.5:
        reason, fault = "every distance is 0, there is nothing to compare", " "
    elif seen.auroc < min_edit_auroc:
        fault = f" (AUROC needed: {min_edit_auroc:.0%})"
    elif not seen.above_chance:
        fault = " (which may be chance)"
    elif inflation > max_inflation:
        fault = f" (allowed: {max_inflation:g})"
    if fault:
        return Reliability(0.0, seen.auroc, seen.kinds, inflation, f"excluded: {reason}{fault}".strip())
    weight = (2 * seen.auroc - 1) / max(1.0, inflation)
    return Reliability(weight, seen.auroc, seen.kinds, inflation, reason)


def inflation_of(train: Float64[np.ndarray, " N"], validation: Float64[np.ndarray, " V"]) -> float:
    """Return how many times as far the median validation image lies as the median training image."""
    inner, outer = float(np.median(train)), float(np.median(validation))
    return outer / inner if inner > 0 else 1.0


@dataclass(frozen=True)
class Judged:
    """What a column is judged by.

    Attributes:
        train, validation: distances of normal images.
        edited: distances of edited pictures.
        rows: of each edited picture's source in `validation`.
        kinds: of each edited picture.
        min_edit_auroc: see `judge_column`.
    """

    train: Float64[np.ndarray, " N"]
    validation: Float64[np.ndarray, " V"]
    edited: Float64[np.ndarray, " M"]
    rows: Int64[np.ndarray, " M"]
    kinds: Sequence[str]
    min_edit_auroc: float

    def verdict(self, params: HistogramParams) -> Reliability:
        """See `judge_column`."""
        return judge_column(
            train=self.train,
            validation=self.validation,
            seen=see_edits(self.validation, self.edited, rows=self.rows, kinds=self.kinds),
            min_edit_auroc=self.min_edit_auroc,
            max_inflation=params.max_inflation,
        )

    def without_each(self, params: HistogramParams) -> list[Reliability]:
        """Return the verdict without one validation image and what was made of it, for each of them.

        With a single one nothing is left to judge by: the column then counts unless there are no components at all,
        whatever that image is like. None where there are too many for one to matter.
        """
        if len(self.validation) == 1:
            return [Reliability(float(self.train.any()), 0.5, {}, 1.0, "no other validation image")]
        if len(self.validation) > LARGEST:
            return []
        return [self.without(row).verdict(params) for row in range(len(self.validation))]

    def without(self, row: int) -> "Judged":
        """Leave one validation image out."""
        kept = self.rows != row
        kinds = [kind for kind, stays in zip(self.kinds, kept, strict=True) if stays]
        rows = self.rows[kept]
        validation = np.delete(self.validation, row)
        return replace(self, validation=validation, edited=self.edited[kept], rows=rows - (rows > row), kinds=kinds)


def normal_rows(split: pd.Series) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return which images are training images, and which are normal validation images.

    Raises:
        UserError: fewer than two training images or no validation image.
    """
    train, validation = (split == "train").to_numpy(), (split == "validation").to_numpy()
    if train.sum() < 2 or not validation.any():
        raise UserError(
            f"{train.sum()} training and {validation.sum()} normal validation images are too few for patch "
            "histograms (2 and 1 are needed): add normal images or change the split's ratios"
        )
    return train, validation
