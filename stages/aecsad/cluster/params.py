"""Parameters of the cluster room."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from stages.core.running.params import Params

Share = Annotated[float, Field(ge=0, le=1)]


class ClusterParams(Params):
    """Section `aecsad.cluster`.

    descriptor, views, appearance_dimensions: see stages.aecsad.cluster.description. bandwidth: of MeanShift, fixed as
    in CSAD's code; null: found from `bandwidth_quantile`. groups: see stages.aecsad.cluster.composition.
    """

    crop_size: PositiveInt
    descriptor: Literal["mixed", "projected"]
    views: Literal["eight", "twenty"]
    appearance_dimensions: PositiveInt
    bandwidth: PositiveFloat | None
    bandwidth_quantile: Annotated[float, Field(gt=0, le=1)] | None
    bandwidth_sample: PositiveInt
    min_class_share: Share
    min_class_area: Share
    groups: Literal["every", "largest", "union"]
    min_group_share: Share
    labelled_share: Share
    max_spread: NonNegativeFloat
    max_count_variation: NonNegativeFloat

    @model_validator(mode="after")
    def check_bandwidth(self) -> "ClusterParams":
        if (self.bandwidth is None) == (self.bandwidth_quantile is None):
            raise ValueError("give either bandwidth or bandwidth_quantile, and null for the other")
        return self
