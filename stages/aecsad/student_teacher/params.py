"""Parameters of the student-teacher branch."""

from typing import Annotated, Literal

from pydantic import Field

from stages.core.params import Params


class TeacherParams(Params):
    """The teacher's projection."""

    dim: int
    map_size: int
    projection: Literal["random", "orthonormal"]
    stage_weights: tuple[float, float]


class PatchStudentParams(Params):
    """See stages.core.networks.local_student."""

    network: Literal["patch"]
    widths: tuple[int, int, int, int, int]
    pooling: bool
    stride: Literal[4, 8]
    batch_norm: bool


class StemStudentParams(Params):
    """See stages.core.networks.stem_student."""

    network: Literal["stem"]
    width: int


class GlobalStudentParams(Params):
    """See stages.core.networks.global_student."""

    width: int
    decoder_steps: tuple[int, ...]
    attended_steps: tuple[int, ...]
    attention: bool
    bottleneck: bool
    batch_norm: bool
    dropout: float


class TrainingParams(Params):
    """Optimisation of both students at once."""

    iterations: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    hard_quantile: float


class MapParams(Params):
    """From squared feature distances to a map and a score."""

    names: tuple[Literal["local", "global", "global_local"], ...]
    quantiles: tuple[float, float]
    pooled_cells: int


class StudentTeacherParams(Params):
    """Section `aecsad.student_teacher`."""

    teacher: TeacherParams
    local_student: Annotated[PatchStudentParams | StemStudentParams, Field(discriminator="network")]
    global_student: GlobalStudentParams
    training: TrainingParams
    maps: MapParams
