"""Parameters of the normalization room."""

from typing import Literal

from pydantic import NonNegativeFloat

from stages.core.running.params import Params


class BranchWeights(Params):
    """Weight of each branch in the final score; 0 leaves it out."""

    histogram: NonNegativeFloat
    student_teacher: NonNegativeFloat


class NormalizationParams(Params):
    """Section `aecsad.normalization`.

    histogram_columns: "reliability" weighs each grid as the histogram room judged it, "equal" gives all the same
    weight, as in the publications. branch_weights: both 1 in the publications.
    """

    histogram_columns: Literal["reliability", "equal"]
    branch_weights: BranchWeights
