"""Parameters of the patchcore stage."""

from typing import Annotated, Literal

from pydantic import Field

from stages.core.run.params import Params


class PatchcoreParams(Params):
    """Section `patchcore`: nearest neighbours in a memory bank of normal patches.

    Attributes:
        strides: strides of the encoder stages whose features are concatenated, the finest first; the map has the
            resolution of the first.
        coreset_ratio: share of the training patches that is kept in the memory bank; 0.01 to 0.25 in the paper, 1 keeps
            all. Of more than 100,000 patches (at 0.01 500,000) as many are drawn at random first.
        projection_dimensions: dimensions in which the coreset is chosen; the bank itself keeps them all.
        neighbours: bank patches around the nearest one that reweight the image score; 0 leaves the plain maximum.
    """

    strides: Annotated[tuple[Literal[4, 8, 16], ...], Field(min_length=1)]
    coreset_ratio: Annotated[float, Field(gt=0, le=1)]
    projection_dimensions: Annotated[int, Field(ge=1)]
    neighbours: Annotated[int, Field(ge=0)]
