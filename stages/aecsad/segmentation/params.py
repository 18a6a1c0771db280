"""Parameters of the component segmentation."""

from stages.core.params import Params


class AugmentationParams(Params):
    """Logical synthetic anomalies: components pasted a second time.

    copies: augmented versions of each labelled image, drawn once; min_distance: from the component's own place, as a
    share of the image; min_pastes, max_pastes: per image.
    """

    copies: int
    min_distance: float
    min_pastes: int
    max_pastes: int


class LossWeights(Params):
    """Weight of each term; the last two see unlabelled images too."""

    cross_entropy: float
    focal: float
    dice: float
    histogram: float
    entropy: float


class SegmentationParams(Params):
    """Section `aecsad.segmentation`.

    supervised_share: part of the iterations before unlabelled images join in; batch_size: labelled images, and as many
    unlabelled ones; loss_size: pixels of the square on which the losses are computed; csad_exact: the published code
    where we hold it for faulty: two softmaxes in the cross entropy, all the weight of the dice loss on absent classes,
    BatchNorm that only knows the last batch, and interpolated class numbers in pasted labels.
    """

    width: int
    iterations: int
    supervised_share: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    loss_size: int
    csad_exact: bool
    augmentation: AugmentationParams
    loss_weights: LossWeights
