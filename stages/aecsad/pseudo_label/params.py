"""Parameters of the pseudo_label stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stages.core.run.params import Params

Share = Annotated[float, Field(ge=0, le=1)]


class BackgroundParams(Params):
    """See `classical.background.propose_by_background`."""

    window: Annotated[float, Field(gt=0, le=1)]
    lightness: NonNegativeFloat
    edge: Annotated[float, Field(gt=0, le=1)]

    @property
    def max_part(self) -> float:
        """The largest part that it can see, as a fraction of the image: half of the window."""
        return self.window**2 / 2


class MergingParams(Params):
    """See `classical.merging.propose_by_merging`; it is taken up to `max_count_variation` only."""

    superpixels: Annotated[int, Field(ge=2, le=65535)]
    lightness: NonNegativeFloat
    colour_kinds: bool
    max_count_variation: PositiveFloat


class ClustersParams(Params):
    """See `classical.clusters.propose_by_clusters`."""

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
    """SAM's masks, see `foundation.segmenter.Segmenter`.

    Attributes:
        points_per_side: of the grid of point prompts for automatic masks.
        points_at_once: three masks each, in float32 at the image's size: 16 take 0.4 GB at 1600 x 1280, and about
            three times that for a moment.
        min_predicted_iou, min_stability: lowest quality by SAM's own judgement.
        max_box_iou: of two masks whose boxes overlap more, the better is kept.
        crop_layers: 1 also looks at four overlapping crops, which takes four more passes of the encoder.
        min_region: holes and islands of fewer pixels are filled and removed.
    """

    points_per_side: PositiveInt
    points_at_once: PositiveInt
    min_predicted_iou: float
    min_stability: float
    max_box_iou: Share
    crop_layers: NonNegativeInt
    min_region: NonNegativeInt


class FilterParams(Params):
    """See `foundation.detection.filter_masks`."""

    min_inside: Share
    max_ground: Share
    max_covered: Share


class FoundationParams(Params):
    """See `foundation.propose.propose_by_foundation`.

    Attributes:
        sam: the size of SAM: an entry `sam_...` of the manifest of weights.
        tagged_images: how many images RAM++ looks at; with 0 it does not run, and prompts are needed.
        near: how far below its threshold a tag's probability may be for it to be listed in tags.yaml.
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
    """Section `aecsad.pseudo_label`.

    Attributes:
        proposer: "auto" chooses one of the three classical ones.
        min_area: smallest part, as a fraction of the image.
        min_count_agreement: see `choice.best`.
    """

    proposer: Literal["auto", "background_difference", "graph_merging", "dense_clusters", "foundation"]
    min_area: Annotated[float, Field(ge=0, lt=1)]
    min_count_agreement: Share
    background_difference: BackgroundParams
    graph_merging: MergingParams
    dense_clusters: ClustersParams
    foundation: FoundationParams
