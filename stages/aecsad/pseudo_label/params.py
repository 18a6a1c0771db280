"""Parameters of the pseudo_label stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stages.core.run.params import Params

Share = Annotated[float, Field(ge=0, le=1)]


class BackgroundParams(Params):
    """`propose_by_background`."""

    window: Annotated[float, Field(gt=0, le=1)]
    lightness: NonNegativeFloat
    edge: Annotated[float, Field(gt=0, le=1)]


class MergingParams(Params):
    """`propose_by_merging`."""

    superpixels: Annotated[int, Field(ge=2, le=65535)]
    lightness: NonNegativeFloat
    colour_kinds: bool
    max_count_variation: PositiveFloat


class ClustersParams(Params):
    """`dense_descriptors` and `propose_by_clusters`."""

    clusters: Annotated[int, Field(ge=1, le=255)]
    cells: PositiveInt
    cells_per_image: PositiveInt
    stride_weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat]
    dimensions: PositiveInt
    colour_share: Share


class UnreviewedParams(Params):
    """What goes with RAM++'s words where no person has written prompts; see `prompts.Prompts`."""

    box_threshold: Share
    text_threshold: Share
    masks: Literal["grounded", "automatic", "automatic_inside_grounded"]


class SegmenterParams(Params):
    """`foundation.segmenter.Segmenter`."""

    points_per_side: PositiveInt
    points_at_once: PositiveInt
    min_predicted_iou: float
    min_stability: float
    max_box_iou: Share
    crop_layers: NonNegativeInt
    min_region: NonNegativeInt


class FilterParams(Params):
    """`foundation.filtering.filter_masks`."""

    min_inside: Share
    max_ground: Share
    max_covered: Share


class FoundationParams(Params):
    """`propose_by_foundation`.

    Attributes:
        sam: the size of SAM: an entry `sam_...` of the manifest of weights.
        tagged_images: how many images RAM++ looks at; 0 leaves it out, then prompts are needed.
        near: how far below its threshold a tag is still listed in tags.yaml.
        min_tag_share: smallest share of images with a tag that is suggested.
    """

    sam: str
    tagged_images: NonNegativeInt
    near: Share
    min_tag_share: Share
    unreviewed: UnreviewedParams
    segmenter: SegmenterParams
    filter: FilterParams


class PseudoLabelParams(Params):
    """Section `aecsad.pseudo_label`; min_count_agreement: see `choice.propose`."""

    proposer: Literal["auto", "background_difference", "graph_merging", "dense_clusters", "foundation"]
    min_area: Annotated[float, Field(ge=0, lt=1)]
    min_count_agreement: Share
    background_difference: BackgroundParams
    graph_merging: MergingParams
    dense_clusters: ClustersParams
    foundation: FoundationParams
