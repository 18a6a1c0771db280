"""Parameters of the hybrid_fusion stage."""

from typing import Annotated, Literal

from pydantic import Field

from stages.aecsad.model.fusion import AREAS_WEIGHT
from stages.core.run.params import Params
from stages.core.runtime.fusion import Combination

Weighting = Literal["reliability", "equal"]


class FineNeighboursParams(Params):
    """The nearest-neighbour branch at a higher input resolution.

    Attributes:
        image_size: side in pixels of the square that images are resized to, smaller ones enlarged; those that are far
            from square keep their aspect ratio and become as many pixels. It is 1.25 times as much for products whose
            images have as many pixels themselves.
        strides: strides of the encoder stages whose features are concatenated, the finest first; the map has the
            resolution of the last.
        training_images: at most so many are drawn to choose the memory bank from.
        cells_per_image: patches drawn at random of each of them; all where it has no more.
        bank_patches: at most so many of the drawn patches are kept in the memory bank.
        projection_dimensions: dimensions in which the coreset is chosen; the bank itself keeps them all.
    """

    image_size: Annotated[int, Field(ge=32)]
    strides: Annotated[tuple[Literal[4, 8, 16], ...], Field(min_length=1)]
    training_images: Annotated[int, Field(ge=1)]
    cells_per_image: Annotated[int, Field(ge=1)]
    bank_patches: Annotated[int, Field(ge=1)]
    projection_dimensions: Annotated[int, Field(ge=1)]


class HybridFusionParams(Params):
    """Section `aecsad.hybrid_fusion`: how AeCSAD and nearest neighbours become one score, `oddpart`.

    Attributes:
        chance: a branch is excluded unless so good a separation of synthetic defects, or a better one, would come about
            by chance in at most this share of cases; smaller values exclude more.
        branch_weights: "reliability", by the synthetic defects and edited pictures that a branch separates, 0 where it
            does so no better than by chance; "equal", 1 for every branch that tells any images apart.
        combination: how the branches make one score: "sum" of their weighted scores; "fisher", the weighted sum of -log
            p, in which a branch that is sure is not outvoted by those that see nothing; "by_kind", that of the
            branches for logical and of those for structural anomalies, of which mostly the larger counts.
        areas_weight: weight of the p of the branches for logical anomalies in "by_kind" where these judge areas of
            components only and no numbers of parts; all other weights are 1. Larger values see more logical anomalies
            and fewer structural ones.
        fine_neighbours: nearest neighbours at a higher resolution as one more branch; null for none.
    """

    chance: Annotated[float, Field(gt=0, lt=1)]
    branch_weights: Weighting = "reliability"
    combination: Combination
    areas_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = AREAS_WEIGHT
    fine_neighbours: FineNeighboursParams | None
