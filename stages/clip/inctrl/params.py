"""Parameters of InCTRL."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, RootModel

from stages.clip.model.params import ClipParams, ObjectParams
from stages.core.run.params import Params


class TrainingParams(Params):
    """Optimisation: epochs x steps_per_epoch iterations of AdamW at a constant rate.

    Attributes:
        epochs: that many times `steps_per_epoch` iterations.
        steps_per_epoch: iterations of an epoch.
        batch_size: queries of an iteration, half of them normal and half anomalous.
        learning_rate: of AdamW, the same in every iteration.
        weight_decay: of AdamW; 0 for none.
    """

    epochs: PositiveInt
    steps_per_epoch: PositiveInt
    batch_size: Annotated[int, Field(ge=2, multiple_of=2)]
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat


class InctrlParams(Params):
    """Section `inctrl` of a profile.

    Attributes:
        blocks: of the vision transformer, whose patches are compared.
        shots: normal prompts, in training and at the target.
        repetitions: each with independent prompts of the target; the first one decides, all are reported.
        exclude_query: whether a normal training image is never its own prompt; the published code lets it be.
        batching: "paired", or "published" for that code's mixed-up batches in training.
        double_sigmoid: whether the loss takes scores for logits, as the published code does.
    """

    clip: ClipParams
    blocks: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    shots: PositiveInt
    repetitions: PositiveInt
    exclude_query: bool
    batching: Literal["paired", "published"]
    double_sigmoid: bool
    training: TrainingParams


class Auxiliary(RootModel[dict[str, ObjectParams]]):
    """`methods.inctrl.auxiliary`: the categories to train on."""
