"""The place of a new image among the validation images, and the weights that such a place must not depend on.

Scales and weights come from the same normal validation images as the threshold. An image that helped to fit a scale, or
to choose a weight, looks more usual by it than a new one does, most of all where there are few. Where validation
rotates, training images that were held out in turns count like them (`stages.core.io.rotation`); no weight depends on
one.

- Scales: the new image helps to fit them, too (full conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic
  Learning in a Random World", 2005, section 2.2).
- Weights: it is compared with each validation image by the weights that were chosen without that one (jackknife+:
  Barber, Candes, Ramdas, Tibshirani, "Predictive Inference with the Jackknife+", Annals of Statistics 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float64, Int


STEP = 1e-4  # ten times what a bundle takes for the same score, `stages.core.runtime.bundle.SAME`


@dataclass(frozen=True)
class Jackknife:
    """Weights as they are without one held-out normal image, for each of them in the order of their scores.

    Attributes:
        columns: of each histogram column.
        branches: of each branch.
    """

    columns: Mapping[str, tuple[float, ...]]
    branches: Mapping[str, tuple[float, ...]]


def beaten(sets: Float64[np.ndarray, "M _n n+1"]) -> Int[np.ndarray, " M"]:
    """Count the validation images below each new one.

        r_m = |{i : s_mii < s_mi(n+1)}|

    Args:
        sets: scores of n validation images and then of a new one, by scales that were fitted on these n + 1 together
            and by the weights that were chosen without image i; one row for all i where the weights are the same.
    """
    new, count = len(sets), sets.shape[-1] - 1
    own = np.diagonal(np.broadcast_to(sets[..., :-1], (new, count, count)), axis1=1, axis2=2)
    return np.asarray((own < np.broadcast_to(sets[..., -1], (new, count))).sum(axis=1))


def at_its_place(
    plain: Float64[np.ndarray, " M"], own: Float64[np.ndarray, " n"], rank: Int[np.ndarray, " M"]
) -> Float64[np.ndarray, " M"]:
    """Move scores of new images so that each lies above as many validation images as it is to.

        the score moves to the nearest one in [s_(r) + e, s_(r+1)],  s_(0) = -inf,  s_(n+1) = inf

    e is STEP of the score, or of the way from a typical score to the highest, and at most half of the interval: far
    more than rounding, so that a bundle, whose last digits differ, does not take the image for a validation image.
    Scores in one such interval keep their order, and a score that is in the right one already stays.

    Args:
        plain: scores of M new images by scales that were fitted without them.
        own: s, of the n validation images by the same scales.
        rank: r, of `beaten`.
    """
    bounds = np.concatenate([[-np.inf], np.sort(own), [np.inf]])
    low, high = bounds[rank], bounds[rank + 1]
    step = STEP * np.maximum(np.abs(np.where(rank > 0, low, 0.0)), own.max() - np.median(own))
    above = np.maximum(np.nextafter(low, np.inf), np.minimum(low + step, (low + high) / 2))
    return np.asarray(np.minimum(np.maximum(plain, above), high))
