"""Parameters of SIR's training: the decoder, the images in a batch, the loss and its optimisation."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from stages.core.run.params import Params
from stages.core.training.adam import OptimizerName, ScheduleName
from stages.sir.model.decoder import Entry, Norm


class DecoderParams(Params):
    """Section `sir.decoder` of a profile; all of it is assumed, see `RefinementDecoder` for what the values do.

    Attributes:
        widths: channels at each of the teacher's stages, fine to coarse, and at halves of the coarsest as far as there
            are more; the last is the code's.
        blocks: residual blocks at each stage of the decoder.
        entry: "all" feeds the features of every stage into the decoder, "coarsest" those of the last stage alone.
        norm: layers between convolutions: normalisation over groups of channels, over the batch, or none.
        groups: of `norm: group`; they divide every width.
        loops: how often the decoder runs, each time on the code that the loop before left; 1 is a plain decoder.
        share_weights: whether all loops have the same weights.
        detach_loops: whether the gradient stops between loops.
        standardise: each teacher channel to mean 0 and deviation 1 over the images that are trained on.
    """

    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    blocks: PositiveInt
    entry: Entry
    norm: Norm
    groups: PositiveInt
    loops: PositiveInt
    share_weights: bool
    detach_loops: bool
    standardise: bool

    @model_validator(mode="after")
    def check_groups(self) -> Self:
        """Raise ValueError where groups do not divide the widths."""
        odd = [width for width in self.widths if width % self.groups]
        if self.norm == "group" and odd:
            raise ValueError(f"groups: {self.groups} do not divide the width {odd[0]}")
        return self


class OneShotParams(Params):
    """One image of each category in every batch.

    Attributes:
        iterations: of the training.
        repetitions: each with an independent choice of that image and a training of its own.
        shift: cells of the coarsest stage by which the image's features are moved at most in each iteration, up or down
            and left or right; 0 for none. A single image shows every part in one place only.
    """

    iterations: PositiveInt
    repetitions: PositiveInt
    shift: NonNegativeInt


class FullShotParams(Params):
    """Random batches; each of their images is from any category with the same probability.

    Attributes:
        iterations: of the training.
        batch_size: images of an iteration.
    """

    iterations: PositiveInt
    batch_size: PositiveInt


class TrainingParams(Params):
    """Section `sir.training` of a profile.

    Attributes:
        loss_loops: "mean" over all loops, or the "last" one alone.
        stage_weights: of the teacher's stages in the loss, fine to coarse.
        optimizer: see `stages.core.training.optimisation`.
        schedule: of the learning rate, from the first iteration to the last.
        learning_rate: the highest of the schedule; of a constant one the rate itself.
        weight_decay: 0 for none.
    """

    one_shot: OneShotParams
    full_shot: FullShotParams
    loss_loops: Literal["mean", "last"]
    stage_weights: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]
    optimizer: OptimizerName
    schedule: ScheduleName
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
