"""Parameters of the student_teacher stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from stages.core.run.params import Params
from stages.core.training.optimisation import OptimizerName, ScheduleName


class TeacherParams(Params):
    """The teacher's projection."""

    dim: int
    map_size: int
    projection: Literal["random", "orthonormal"]
    stage_weights: tuple[float, float]


class PatchStudentParams(Params):
    """See stages.aecsad.model.networks."""

    network: Literal["patch"]
    widths: tuple[int, int, int, int, int]
    pooling: bool
    stride: Literal[4, 8]
    batch_norm: bool


class StemStudentParams(Params):
    """See stages.aecsad.model.networks."""

    network: Literal["stem"]
    width: int


class GlobalStudentParams(Params):
    """See stages.aecsad.model.networks."""

    width: int
    decoder_steps: tuple[int, ...]
    attended_steps: tuple[int, ...]
    attention: bool
    bottleneck: bool
    batch_norm: bool
    dropout: float


class GlobalImagesParams(Params):
    """What the global student trains on.

    Attributes:
        kind: "plain" the training images; "colour" each with another brightness, contrast or saturation, as in CSAD's
            code; "pasted" the cluster stage's images with pasted components, as in the AeCSAD thesis, 5.4.
        colour_strength: factors are drawn from 1 - strength to 1 + strength.
    """

    kind: Literal["plain", "colour", "pasted"]
    colour_strength: NonNegativeFloat


class TrainingParams(Params):
    """Optimisation of both students at once.

    Attributes:
        hard_quantile: see `training.hard_feature_loss`.
        penalty_images: a folder of natural images on which the local student's first head should return zeros (CSAD);
            its path is tracked, not its content. null: no penalty.
    """

    iterations: int
    batch_size: int
    optimizer: OptimizerName
    schedule: ScheduleName
    learning_rate: float
    weight_decay: float
    hard_quantile: float
    global_images: GlobalImagesParams
    penalty_images: str | None


class MapParams(Params):
    """From feature distances to a map and a score.

    Attributes:
        names: maps that are summed.
        distance: "mean_square" over the channels (CSAD's code) or "norm" (AeCSAD thesis, 4.8-4.10).
        quantiles: of validation cells, which normalisation sends to 0 and 0.1.
        score_size: pixels that the summed map is upsampled to before its highest cells are averaged (CSAD's code:
            256); null: not at all.
        pooled_cells: highest cells whose mean is the image score.
    """

    names: tuple[Literal["local", "global", "global_local"], ...]
    distance: Literal["mean_square", "norm"]
    quantiles: tuple[float, float]
    score_size: PositiveInt | None
    pooled_cells: PositiveInt


class StudentTeacherParams(Params):
    """Section `aecsad.student_teacher`."""

    teacher: TeacherParams
    local_student: Annotated[PatchStudentParams | StemStudentParams, Field(discriminator="network")]
    global_student: GlobalStudentParams
    training: TrainingParams
    maps: MapParams
