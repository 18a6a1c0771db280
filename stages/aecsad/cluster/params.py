"""Parameters of the cluster stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from stages.core.run.params import OrInfinite, Params, Share


class PastedComponentsParams(Params):
    """Section `aecsad.cluster.pasted_components`.

    Attributes:
        copies: pasted versions of each training image, drawn once; 0 makes none.
        min_distance: smallest distance of a pasted component from its own place, as a share of the image's width and
            height.
        min_pastes: fewest components of an image that are tried; one without a free place is skipped.
        max_pastes: most components of an image that are tried; the number is drawn between both.
    """

    copies: NonNegativeInt
    min_distance: float
    min_pastes: NonNegativeInt
    max_pastes: NonNegativeInt


class ClusterParams(Params):
    """Section `aecsad.cluster`: how components become classes, and which images are typical.

    Attributes:
        crop_size: side in pixels of the square that every component is scaled to before the encoder sees it; 64 in
            CSAD.
        descriptor: "mixed": shape, colour and principal components of the encoder's features at stride 8; "projected":
            a random projection of those at stride 32, as in CSAD's code.
        views: over which the features are averaged: "eight", right angles and mirror images (AeCSAD thesis, 4.2.2);
            "twenty", rotations (CSAD's code).
        appearance_dimensions: principal components that are kept, or dimensions of the projection (512 in CSAD).
        bandwidth: radius of MeanShift's kernel in the descriptor's units, 3.5 in CSAD's code for its own features; a
            larger one gives fewer classes. null: found from `bandwidth_quantile`.
        bandwidth_quantile: the bandwidth is the mean distance of a component to the farthest of its nearest ones, which
            are this share of all; a larger one gives fewer classes. null: `bandwidth` is given.
        bandwidth_sample: at most so many random components give the bandwidth and the classes; the others join the
            nearest class.
        min_class_share: a class is dropped that has fewer components than this share of the number of images; 0 drops
            none.
        min_class_area: a class is dropped that covers no more than this share of an image on average; 0.001 in CSAD.
        groups: which images get labels: "every", those of every group of similar composition, or of all images where
            there is no group; "largest" and "union", the largest group or all of them as CSAD's code finds them.
        min_group_share: smallest group to begin with, as a share of the images; smaller ones follow where there is
            none, with "every" down to half of it.
        labelled_share: share of a group's images, the nearest to its mean, whose labels train the segmentation; 1 takes
            all of them.
        max_spread: largest mean deviation of class areas within a group, relative to the covered area, with which
            classes are plausible; above it the histogram branch is excluded. .inf: no check, as published.
        max_count_variation: the same for the number of components per image, standard deviation over mean. .inf: no
            check, as published.
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
    max_spread: OrInfinite
    max_count_variation: OrInfinite
    pasted_components: PastedComponentsParams

    @model_validator(mode="after")
    def check_bandwidth(self) -> "ClusterParams":
        """Refuse two sources of the bandwidth, or none."""
        if (self.bandwidth is None) == (self.bandwidth_quantile is None):
            raise ValueError("give either bandwidth or bandwidth_quantile, and null for the other")
        return self
