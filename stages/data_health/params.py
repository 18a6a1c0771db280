"""What the data-health room is told."""

from pydantic import Field, PositiveInt

from stages.core.running.params import Params


class DataHealthParams(Params):
    """Section `data_health`.

    Attributes:
        outlier: how many robust standard deviations from the median of the training images an outlier lies.
        shown: findings of a kind that are named.
    """

    outlier: float = Field(gt=0)
    shown: PositiveInt
