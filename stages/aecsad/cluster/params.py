"""Parameters of the cluster room."""

from typing import Literal

from pydantic import PositiveFloat, model_validator

from stages.core.running.params import Params


class ClusterParams(Params):
    """Section `aecsad.cluster`.

    descriptor, views, appearance_dimensions: see stages.aecsad.cluster.description. bandwidth: of MeanShift, fixed as
    in CSAD's code; null: found from `bandwidth_quantile`. groups: see stages.aecsad.cluster.composition.
    """

    crop_size: int
    descriptor: Literal["mixed", "projected"]
    views: Literal["eight", "twenty"]
    appearance_dimensions: int
    bandwidth: PositiveFloat | None
    bandwidth_quantile: PositiveFloat | None
    bandwidth_sample: int
    min_class_share: float
    min_class_area: float
    groups: Literal["every", "largest", "union"]
    min_group_share: float
    labelled_share: float
    max_spread: float
    max_count_variation: float

    @model_validator(mode="after")
    def check_bandwidth(self) -> "ClusterParams":
        if (self.bandwidth is None) == (self.bandwidth_quantile is None):
            raise ValueError("give either bandwidth or bandwidth_quantile, and null for the other")
        return self
