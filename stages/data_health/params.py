"""What the data-health room is told."""

from pydantic import Field, PositiveInt

from stages.core.params import Params


class DataHealthParams(Params):
    """Section `data_health`.

    Attributes:
        hash_distance: bits in which the hashes of near-duplicates may differ, of 64.
        pixel_difference: mean difference of their thumbnails' grey values, in levels of 255.
        outlier: how many robust standard deviations from the median of the training images an outlier lies.
        shown: findings of a kind that are named.
    """

    hash_distance: int = Field(ge=0, le=16)
    pixel_difference: float = Field(gt=0)
    outlier: float = Field(gt=0)
    shown: PositiveInt
