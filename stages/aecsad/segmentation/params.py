"""Parameters of the segmentation stage."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from stages.core.run.params import Params
from stages.core.training.optimisation import OptimizerName, ScheduleName


class Epochs(Params):
    """A number of passes over the labelled images, short rests excluded."""

    epochs: PositiveInt


class AugmentationParams(Params):
    """Logical synthetic anomalies: components pasted a second time.

    Attributes:
        copies: augmented versions of each labelled image in addition to the image itself, drawn once; or "fresh": as
            in CSAD, images are only seen augmented, again whenever they are drawn, also by small shifts, turns and
            changes of brightness.
        min_distance: from the component's own place, as a share of the image.
        min_pastes, max_pastes: how many components of an image are tried; one without a free place is skipped.
    """

    copies: NonNegativeInt | Literal["fresh"]
    min_distance: float
    min_pastes: int
    max_pastes: int


class LossWeights(Params):
    """Weight of each term; the last two also see unlabelled images."""

    cross_entropy: float
    focal: float
    dice: float
    histogram: float
    entropy: float


class SegmentationParams(Params):
    """Section `aecsad.segmentation`.

    Attributes:
        width: channels of the decoder's hidden layers.
        iterations: a number, or {epochs: number}.
        supervised_share: share of the iterations before unlabelled images join in.
        batch_size: labelled images, and as many unlabelled ones.
        loss_size: side in pixels of the square on which the losses are computed.
        csad_exact: follow the published code where we consider it faulty: two softmaxes in the cross entropy, all the
            weight of the dice loss on absent classes, BatchNorm that only knows the last batch, and interpolated class
            numbers in pasted labels.
    """

    width: int
    iterations: PositiveInt | Epochs
    supervised_share: float
    batch_size: int
    optimizer: OptimizerName
    schedule: ScheduleName
    learning_rate: float
    weight_decay: float
    loss_size: int
    csad_exact: bool
    augmentation: AugmentationParams
    loss_weights: LossWeights
