"""Parameters of the anomaly maps."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat

from stages.core.run.params import Params


class MapsParams(Params):
    """Section `sir.maps` of a profile.

    Attributes:
        loops: the map of the "last" loop, or the "mean" over all.
        fusion: "sum" or "product" of the stages' maps.
        sigma: of the Gaussian blur, in pixels of the teacher's input; 0 for none.
        pooled_share: the image score is the mean of that share of the map's highest values; 0 is the maximum, 1 the
            mean.
    """

    loops: Literal["last", "mean"]
    fusion: Literal["sum", "product"]
    sigma: NonNegativeFloat
    pooled_share: Annotated[float, Field(ge=0, le=1)]
