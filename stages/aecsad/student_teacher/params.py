"""Parameters of the student_teacher stage."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from stages.core.run.params import Params
from stages.core.training.adam import OptimizerName, ScheduleName


class TeacherParams(Params):
    """The teacher: the frozen encoder's features at stride 8 and 16, projected to fewer channels.

    Attributes:
        dim: channels of the teacher's output and of every student's; 512 in CSAD.
        map_size: side in cells of that output and of the anomaly maps; 64 in CSAD.
        projection: "random", PyTorch's initial weights as published; "orthonormal", over standardised channels, for
            encoders whose channels differ in scale, with `dim` at most the number of their channels.
        stage_weights: weights of the features at stride 8 and 16; 1 each as published, a larger first one sees smaller
            defects.
    """

    dim: int
    map_size: int
    projection: Literal["random", "orthonormal"]
    stage_weights: tuple[float, float]


class PatchStudentParams(Params):
    """The published local student, which sees 33 pixels of the image, see stages.aecsad.model.networks.

    Attributes:
        network: "patch" is CSAD's network on the image.
        widths: channels of the five convolutions; 256 and four times 512 in CSAD.
        pooling: whether the first two convolutions are followed by an average over 2 x 2 cells, as published; false
            takes convolutions of stride 2 with the same receptive field, for a third of the work.
        stride: pixels between neighbouring outputs before they are resized to `teacher.map_size`; 4 in CSAD, 8 is
            enough for a map of an eighth of the image.
        batch_norm: whether each convolution is followed by batch normalisation; false as published.
    """

    network: Literal["patch"]
    widths: tuple[int, int, int, int, int]
    pooling: bool
    stride: Literal[4, 8]
    batch_norm: bool


class StemStudentParams(Params):
    """The cheaper local student, which starts from the encoder's first layers, see stages.aecsad.model.networks.

    Attributes:
        network: "stem" is two convolutions on the frozen encoder's features at stride 4 (ours).
        width: channels of its first convolution; the others have twice as many.
    """

    network: Literal["stem"]
    width: int


class GlobalStudentParams(Params):
    """The autoencoder that sees the whole image, see stages.aecsad.model.networks.

    Attributes:
        width: channels of the code; the first two layers have half as many. 64 as published.
        decoder_steps: sides in cells that the decoder enlarges to before each of its convolutions, in this order; 3, 8,
            15, 32, 63 and 127 in CSAD.
        attended_steps: those of `decoder_steps` after which self-attention acts; without `attention`, none does.
        attention: whether cells attend to each other, in the encoder at 16 x 16 and 8 x 8 cells and after
            `attended_steps`; true is AeCSAD, false CSAD.
        bottleneck: whether the code is squeezed to a single cell, as in CSAD; false keeps 8 x 8 cells, as in AeCSAD.
        batch_norm: whether convolutions are followed by batch normalisation; false as published.
        dropout: probability from 0 to below 1 that a value of the decoder is set to 0 in training; 0.2 in CSAD.
    """

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
        colour_strength: for "colour": factors are drawn from 1 - strength to 1 + strength; 0 changes nothing.
    """

    kind: Literal["plain", "colour", "pasted"]
    colour_strength: NonNegativeFloat


class TrainingParams(Params):
    """Optimisation of both students at once.

    Attributes:
        iterations: training steps; 60,000 in CSAD, 7,500 in the variant `thesis`.
        batch_size: training images a step; 2 in CSAD, 16 in the variant `thesis`.
        optimizer: "adamw", or "adam" as published, in which the weight decay is part of the gradient.
        schedule: course of the learning rate: "one_cycle" rises and falls; "step" as in CSAD falls to a tenth after 95
            % of the iterations; "constant"; "cosine" falls to a hundredth.
        learning_rate: highest learning rate of the schedule; 0.0002 in CSAD.
        weight_decay: strength of the weight decay; 0 for none, 0.0001 in CSAD.
        hard_quantile: the local student's loss is the mean of the squared differences at or above this quantile, from 0
            to below 1; 0 takes all of them (thesis), 0.999 the hardest thousandth (CSAD).
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
        names: maps that are summed: "local" and "global", a student against the teacher; "global_local", one student
            against the other. CSAD has the first and the last.
        distance: "mean_square" over the channels (CSAD's code) or "norm" (AeCSAD thesis, 4.8-4.10).
        calibrated_on: normal images whose cells scale the maps to each other: "validation" as in CSAD; with "train" the
            threshold, which is taken from validation images, keeps the stated rate of false alarms with few of these.
        quantiles: two quantiles of these images' cells, each from 0 to 1, the lower first; every map is scaled so that
            they become 0 and 0.1. 0.9 and 0.995 in CSAD.
        score_size: side in pixels that the summed map is enlarged to before its highest cells are averaged (CSAD's
            code: 256); null: not at all.
        pooled_cells: number of highest cells whose mean is the image score; 1 takes the maximum, as in CSAD.
    """

    names: tuple[Literal["local", "global", "global_local"], ...]
    distance: Literal["mean_square", "norm"]
    calibrated_on: Literal["train", "validation"]
    quantiles: tuple[float, float]
    score_size: PositiveInt | None
    pooled_cells: PositiveInt


class StudentTeacherParams(Params):
    """Section `aecsad.student_teacher`: two students that imitate a frozen teacher.

    Attributes:
        cpu_threads: threads that train on a CPU; null: one a core, as in scoring. One is cheapest for small students:
            their layers are done before a second thread has begun, and a thread that waits keeps its core busy. It
            decides the last digits of the weights, which a fixed number makes independent of the number of cores.
    """

    cpu_threads: PositiveInt | None
    teacher: TeacherParams
    local_student: Annotated[PatchStudentParams | StemStudentParams, Field(discriminator="network")]
    global_student: GlobalStudentParams
    training: TrainingParams
    maps: MapParams
