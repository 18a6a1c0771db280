"""Parameters of the explanation room."""

from pydantic import Field, PositiveInt

from stages.core.running.params import Params


class ExplanationParams(Params):
    """Section `aecsad.explanation`.

    Attributes:
        min_area: smallest component that is counted, as a share of the image.
        stable_share: share of the training images in which a class must have the same number of components, at places
            that can be told apart, for its components to be counted.
        area_floor: standard deviation added to that of every cell's area, as a share of the cell.
        grid: cells along a side.
        kept: findings of a branch that are kept.
        examples: components in the picture of a class.
    """

    min_area: float = Field(gt=0, lt=1)
    stable_share: float = Field(gt=0, le=1)
    area_floor: float = Field(gt=0)
    grid: PositiveInt
    kept: PositiveInt
    examples: PositiveInt
