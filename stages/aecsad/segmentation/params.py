"""Parameters of the segmentation stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from stages.core.run.params import Params
from stages.core.training.adam import OptimizerName, ScheduleName


class Epochs(Params):
    """A number of passes over the labelled images, short rests excluded.

    Attributes:
        epochs: passes over the labelled images; the remainder that does not fill a batch is skipped. 120 in CSAD.
    """

    epochs: PositiveInt


class AugmentationParams(Params):
    """Logical synthetic anomalies: components pasted a second time.

    Attributes:
        copies: augmented versions of each labelled image in addition to the image itself, drawn once, 0 for none; or
            "fresh": as in CSAD, images are only seen augmented, differently whenever they are drawn, also by small
            shifts, turns and changes of brightness.
        min_distance: smallest distance of a pasted component from its own place, as a share of the image's width and
            height.
        min_pastes: fewest components of an image that are tried; one without a free place is skipped.
        max_pastes: most components of an image that are tried; the number is drawn between both.
    """

    copies: NonNegativeInt | Literal["fresh"]
    min_distance: float
    min_pastes: int
    max_pastes: int


class LossWeights(Params):
    """Weight of each term of the loss; 0 excludes it.

    Attributes:
        cross_entropy: weight of the cross entropy of labelled pixels; 0.5 in CSAD, 1 in the AeCSAD thesis.
        focal: weight of the focal loss of labelled pixels; 10 in CSAD, 0.5 in the thesis.
        dice: weight of the class-balanced dice loss of labelled images; 1 in CSAD, 0.5 in the thesis.
        histogram: weight of the difference in class areas between unlabelled and random labelled images, after the
            supervised share; 10 in CSAD, 0.3 in the thesis.
        entropy: weight of the entropy of all images' predictions, after the supervised share; 1 in CSAD, 0.1 in the
            thesis.
    """

    cross_entropy: float
    focal: float
    dice: float
    histogram: float
    entropy: float


class SegmentationParams(Params):
    """Section `aecsad.segmentation`: the network that labels the pixels of every image with classes.

    Attributes:
        width: channels of the decoder's hidden layers; 256 in CSAD.
        iterations: training steps: a number, or {epochs: number}.
        supervised_share: share of the iterations, from 0 to 1, before unlabelled images join in; 1 never uses them. 50
            of 120 epochs in CSAD.
        batch_size: labelled images a step, and as many unlabelled ones; 4 in CSAD, 16 in the thesis.
        optimizer: "adamw", or "adam" as published, in which the weight decay is part of the gradient.
        schedule: course of the learning rate: "one_cycle" rises and falls; "constant" as in CSAD; "step" falls to a
            tenth after 95 % of the iterations; "cosine" falls to a hundredth (thesis, 5.3).
        learning_rate: highest learning rate of the schedule; 0.01 in CSAD, 0.0001 in the thesis.
        weight_decay: strength of the weight decay; 0 for none, 0.00001 in CSAD.
        loss_size: side in pixels of the square on which the losses are computed; 256 in CSAD.
        csad_exact: follow the published code where we consider it faulty: two softmaxes in the cross entropy, all the
            weight of the dice loss on absent classes, BatchNorm that only knows the last batch, and interpolated class
            numbers in pasted labels.
        part_kinds: at most so many kinds of parts are told apart for the branch `parts` of `oddpart`, and a quarter of
            the training images; null for no such branch.
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
    part_kinds: Annotated[int, Field(ge=2)] | None
    augmentation: AugmentationParams
    loss_weights: LossWeights
