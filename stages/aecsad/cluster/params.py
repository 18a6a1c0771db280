"""Parameters of the cluster stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from stages.core.run.params import Params

Share = Annotated[float, Field(ge=0, le=1)]


class PastedComponentsParams(Params):
    """Section `aecsad.cluster.pasted_components`.

    Attributes:
        copies: pasted versions of each training image, drawn once; 0 makes none.
        min_distance: of a pasted component from its own place, as a share of the image.
        min_pastes, max_pastes: how many components of an image are tried; one without a free place is skipped.
    """

    copies: NonNegativeInt
    min_distance: float
    min_pastes: NonNegativeInt
    max_pastes: NonNegativeInt


class ClusterParams(Params):
    """Section `aecsad.cluster`.

    Attributes:
        crop_size, descriptor, views, appearance_dimensions: see `describe.describe`.
        bandwidth: of MeanShift, fixed as in CSAD's code; null: found from `bandwidth_quantile`.
        bandwidth_sample: instances that give the bandwidth and the modes.
        min_class_share: smallest number of instances of a class, as a share of the number of images.
        min_class_area: smallest mean area of a class, as a share of the image.
        groups, min_group_share, labelled_share: see `composition.group_compositions`.
        max_spread, max_count_variation: see `composition.judge_classes`.
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
    pasted_components: PastedComponentsParams

    @model_validator(mode="after")
    def check_bandwidth(self) -> "ClusterParams":
        """Refuse two sources of the bandwidth, or none."""
        if (self.bandwidth is None) == (self.bandwidth_quantile is None):
            raise ValueError("give either bandwidth or bandwidth_quantile, and null for the other")
        return self
