"""Parameters of the pseudo_label room."""

from typing import Literal

from stages.core.running.params import Params


class BackgroundParams(Params):
    """`propose_by_background`."""

    window: float
    lightness: float
    low: float
    high: float
    edge: float


class MergingParams(Params):
    """`propose_by_merging`."""

    superpixels: int
    lightness: float


class ClustersParams(Params):
    """`dense_descriptors` and `propose_by_clusters`."""

    clusters: int
    cells: int
    cells_per_image: int
    stride_weights: tuple[float, float, float]
    dimensions: int
    colour_share: float


class UnreviewedParams(Params):
    """What goes with RAM++'s words where no person has written prompts; see `prompts.Prompts`."""

    box_threshold: float
    text_threshold: float
    masks: Literal["grounded", "automatic", "automatic_inside_grounded"]


class SegmenterParams(Params):
    """`foundation.segmenter.Segmenter`."""

    points_per_side: int
    points_at_once: int
    min_predicted_iou: float
    min_stability: float
    max_box_iou: float
    crop_layers: int
    min_region: int


class FilterParams(Params):
    """`foundation.filtering.filter_masks`."""

    min_inside: float
    max_ground: float
    max_covered: float


class FoundationParams(Params):
    """`propose_by_foundation`.

    Attributes:
        sam: the size of SAM: an entry `sam_...` of the manifest of weights.
        tagged_images: how many images RAM++ looks at; 0 leaves it out, then prompts are needed.
        near: how far below its threshold a tag is still listed in tags.yaml.
        min_tag_share: smallest share of images with a tag that is suggested.
    """

    sam: str
    tagged_images: int
    near: float
    min_tag_share: float
    unreviewed: UnreviewedParams
    segmenter: SegmenterParams
    filter: FilterParams


class PseudoLabelParams(Params):
    """Section `aecsad.pseudo_label`; min_count_agreement, max_count_variation: see `choice.propose`."""

    proposer: Literal["auto", "background_difference", "graph_merging", "dense_clusters", "foundation"]
    min_area: float
    min_count_agreement: float
    max_count_variation: float
    background_difference: BackgroundParams
    graph_merging: MergingParams
    dense_clusters: ClustersParams
    foundation: FoundationParams
