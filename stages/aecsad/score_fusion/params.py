"""Parameters of the score_fusion stage."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from stages.core.run.params import Params


class BranchWeights(Params):
    """Weight of each branch in the final score; 0 excludes it.

    Attributes:
        histogram: weight of the histogram branch, 1 as published; 0 excludes it.
        student_teacher: weight of the student-teacher branch, 1 as published; 0 excludes it, an error where the
            histogram branch is not in use either.
    """

    histogram: NonNegativeFloat
    student_teacher: NonNegativeFloat


class ExplanationParams(Params):
    """Section `aecsad.score_fusion.explanation`.

    Attributes:
        min_area: smallest component that is counted, as a share of the image.
        stable_share: share of the training images in which a class must have the same number of components, at places
            that can be told apart, for its components to be counted.
        area_floor: standard deviation added to that of every cell's area, as a share of the cell; larger ones report
            fewer unusual areas.
        grid: cells along a side of the grid in which class areas are compared with normal ones.
        kept: most unusual findings about components that are kept for each image.
        examples: most components in the picture of a class.
    """

    min_area: float = Field(gt=0, lt=1)
    stable_share: float = Field(gt=0, le=1)
    area_floor: float = Field(gt=0)
    grid: PositiveInt
    kept: PositiveInt
    examples: PositiveInt


class ScoreFusionParams(Params):
    """Section `aecsad.score_fusion`: how AeCSAD's two branches become one score.

    Attributes:
        histogram_columns: "reliability" weighs each grid as the histogram stage judged it, "equal" gives all the same
            weight, as in the publications.
        branch_weights: weight of each branch; both 1 in the publications.
        explanation: what is reported as unusual in an image.
    """

    histogram_columns: Literal["reliability", "equal"]
    branch_weights: BranchWeights
    explanation: ExplanationParams
