"""Parameters of the pseudo_label stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from stages.core.run.params import Params, Share


class BackgroundParams(Params):
    """The proposer of small parts on plain ground, see `classical.background.propose_by_background`.

    Attributes:
        window: side of the square whose median is the ground, as a fraction of the image's height. A part larger than
            half of the square, 2 % of the image at 0.2, is taken for ground.
        lightness: weight of lightness against the two colour axes of CIE Lab; below 1 shadows and glare count less, 0
            compares colours alone.
        edge: a part ends where its contrast to the ground has fallen to this fraction of its mean contrast; 0.5 is the
            middle of a blurred edge, higher values shrink the part.
    """

    window: Annotated[float, Field(gt=0, le=1)]
    lightness: NonNegativeFloat
    edge: Annotated[float, Field(gt=0, le=1)]

    @property
    def max_part(self) -> float:
        """The largest part that it can see, as a fraction of the image: half of the window."""
        return self.window**2 / 2


class MergingParams(Params):
    """The proposer of large, touching parts, see `classical.merging.propose_by_merging`.

    Attributes:
        superpixels: about how many regions an image is divided into before neighbours are merged; more follow finer
            outlines and take longer.
        lightness: weight of lightness against the two colour axes of CIE Lab; below 1 shading and glare count less, 0
            compares colours alone.
        colour_kinds: whether parts of similar colour are of one kind where colours form clear groups; false leaves the
            kinds to the cluster stage.
        max_count_variation: largest standard deviation of the number of parts per image, relative to its mean. A
            division that varies more counts for nothing, and with "auto" the proposer is not taken then.
    """

    superpixels: Annotated[int, Field(ge=2, le=65535)]
    lightness: NonNegativeFloat
    colour_kinds: bool
    max_count_variation: PositiveFloat


class ClustersParams(Params):
    """The proposer for the rest, clusters of cells, see `classical.clusters.propose_by_clusters`.

    Attributes:
        clusters: clusters of the k-means; those with a larger share of the border than of the image are ground, the
            others are kinds of parts.
        cells: side of the grid of described cells; the encoder's finest features have 64 at 256 pixels.
        cells_per_image: random cells of each image that the clusters are fitted to; all cells are labelled.
        stride_weights: weights of the encoder's standardised features at strides 4, 8 and 16; 0 excludes a stride.
        dimensions: principal components of the weighted features that are kept.
        colour_share: share of the total variance that the cell's colour has, the features have the rest; 0 ignores
            colour, 1 uses it alone.
    """

    clusters: Annotated[int, Field(ge=1, le=255)]
    cells: PositiveInt
    cells_per_image: PositiveInt
    stride_weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat]
    dimensions: PositiveInt
    colour_share: Share


class UnreviewedParams(Params):
    """What goes with RAM++'s words where no person has written prompts; see `prompts.Prompts`.

    Attributes:
        box_threshold: lowest probability of a box that GroundingDINO finds for the words; higher keeps fewer boxes.
        text_threshold: lowest probability with which a box belongs to a word; one that belongs to none counts as a
            part, too.
        masks: which masks are parts: "grounded", those of the boxes; "automatic", SAM's everywhere;
            "automatic_inside_grounded", SAM's inside those of the boxes.
    """

    box_threshold: Share
    text_threshold: Share
    masks: Literal["grounded", "automatic", "automatic_inside_grounded"]


class SegmenterParams(Params):
    """SAM's masks, see `foundation.segmenter.Segmenter`.

    Attributes:
        points_per_side: side of the grid of point prompts for automatic masks; more find smaller parts.
        points_at_once: point prompts in one pass, with three masks each, in float32 at the image's size: 16 take 0.4 GB
            at 1600 x 1280, and about three times that for a moment. Changes memory and time only.
        min_predicted_iou: lowest quality of a mask as SAM predicts it, from 0 to 1; higher keeps fewer masks.
        min_stability: lowest IoU, from 0 to 1, of a mask's versions with a slightly lower and a slightly higher cut.
        max_box_iou: of two masks whose boxes overlap more (IoU), the better is kept.
        crop_layers: 0 looks at the whole image; 1 also at four overlapping crops, which takes four more passes of the
            encoder.
        min_region: holes and islands of fewer pixels are filled and removed; 0 changes no mask.
    """

    points_per_side: PositiveInt
    points_at_once: PositiveInt
    min_predicted_iou: float
    min_stability: float
    max_box_iou: Share
    crop_layers: NonNegativeInt
    min_region: NonNegativeInt


class FilterParams(Params):
    """Which of SAM's automatic masks are parts, see `foundation.detection.filter_masks`.

    Attributes:
        min_inside: with "automatic_inside_grounded", a mask is kept where its overlap with the named things is more
            than this share of the smaller of the two.
        max_ground: a mask is kept where its overlap with the ground is less than this share of the smaller of the two;
            0 keeps none, 1 nearly all.
        max_covered: masks are taken from small to large; one is dropped where those taken before cover at least this
            share of it.
    """

    min_inside: Share
    max_ground: Share
    max_covered: Share


class FoundationParams(Params):
    """See `foundation.propose.propose_by_foundation`.

    Attributes:
        sam: the size of SAM, "vit_b", "vit_l" or "vit_h": an entry `sam_...` of the manifest of weights.
        tagged_images: how many training images RAM++ looks at; with 0 it does not run, and prompts are needed.
        near: how far below its threshold a tag's probability may be for it to be listed in tags.yaml.
        min_tag_share: a tag is suggested as a word when it applies to at least this share of the tagged images.
    """

    sam: str
    tagged_images: NonNegativeInt
    near: Share
    min_tag_share: Share
    unreviewed: UnreviewedParams
    segmenter: SegmenterParams
    filter: FilterParams


class PseudoLabelParams(Params):
    """Section `aecsad.pseudo_label`: what finds the components of normal training images.

    Attributes:
        proposer: what finds the parts; "auto" takes the first of background_difference, graph_merging and
            dense_clusters that suits, "foundation" needs its packages and weights (the publications' way).
        min_area: smallest part, as a fraction of the image; 0 keeps every region.
        min_count_agreement: with "auto", background difference is taken only where at least this share of the images
            has the most frequent number of parts; 0 hardly refuses it, 1 asks for the same number in all images.
    """

    proposer: Literal["auto", "background_difference", "graph_merging", "dense_clusters", "foundation"]
    min_area: Annotated[float, Field(ge=0, lt=1)]
    min_count_agreement: Share
    background_difference: BackgroundParams
    graph_merging: MergingParams
    dense_clusters: ClustersParams
    foundation: FoundationParams
