"""Parameters of Uninformed Students."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from stages.core.run.params import Params
from stages.core.training.adam import OptimizerName, ScheduleName
from stages.uninformed_students.augmentation import RandomCrop, Transforms, size_of

PatchSize = Literal[17, 33, 65]
Normalization = Literal["none", "zscore", "cells"]


class Epochs(Params):
    """A number of passes over the training images, without short rests.

    Attributes:
        epochs: passes.
        at_least: iterations, however few images there are; absent for no limit.
        at_most: iterations, however many images there are, so that the cost has an end; absent for no limit.
    """

    epochs: PositiveInt
    at_least: PositiveInt = 1
    at_most: PositiveInt | None = None

    @model_validator(mode="after")
    def check_limits(self) -> Self:
        """Raise ValueError where no number of iterations is allowed."""
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most: {self.at_most} is below at_least, {self.at_least}")
        return self


class TrainingParams(Params):
    """Optimisation with a fixed end.

    Attributes:
        iterations: a number, or {epochs: number} with limits where wanted.
        batch_size: patches of an iteration for the teacher, images for students.
        optimizer: see `stages.core.training.optimisation`.
        schedule: of the learning rate, from the first iteration to the last.
        learning_rate: the highest of the schedule; of a constant one the rate itself.
        weight_decay: 0 for none.
    """

    iterations: PositiveInt | Epochs
    batch_size: PositiveInt
    optimizer: OptimizerName
    schedule: ScheduleName
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat


class BackboneParams(Params):
    """The pretrained network that the teacher learns from, or is.

    Attributes:
        name: as in the section `encoder`.
        stages: timm's numbers; stage n has stride 2^(n + 1). A distilled teacher learns their features averaged over
            the patch and joined: 4 alone, of stride 32, is published. As the teacher itself early ones, which see a
            limited window: 2 of EfficientNet-Lite0 sees 67 pixels,
            3 sees 339.
    """

    name: str
    stages: Annotated[tuple[Literal[1, 2, 3, 4], ...], Field(min_length=1)]


class DistilledTeacherParams(Params):
    """A patch network that the backbone is distilled into, as published; students have its layout.

    Attributes:
        kind: "distilled" is a patch network that learned the backbone's descriptions, as published.
        patch_sizes: receptive fields in pixels, each with a teacher and students of its own.
        tile: pixels a side of what is described at a time, a multiple of `stride`; bounds the memory, changes no result
            beyond rounding.
        standardise: each number of the backbone's description to mean 0 and deviation 1 over training patches.
        training: of the distillation.
        crops_per_image: in an epoch.
        compactness_weight: of L_C; L_D has weight 1.
        augmentation: transforms of each image, one after the other, with one RandomCrop to a patch.
    """

    kind: Literal["distilled"]
    patch_sizes: Annotated[tuple[PatchSize, ...], Field(min_length=1)]
    tile: PositiveInt
    standardise: bool
    training: TrainingParams
    crops_per_image: PositiveInt
    compactness_weight: NonNegativeFloat
    augmentation: Transforms


class BackboneTeacherParams(Params):
    """The backbone's own stages as the teacher (ours): nothing is distilled.

    Attributes:
        kind: "backbone" is the backbone's own stages (ours).
    """

    kind: Literal["backbone"]


class StudentsParams(Params):
    """The ensemble of students.

    Attributes:
        count: M.
        augmentation: transforms of each image, one after the other.
    """

    count: PositiveInt
    training: TrainingParams
    augmentation: Transforms


class UninformedStudentsParams(Params):
    """Section `uninformed_students` of a profile.

    Attributes:
        cpu_threads: threads of the whole stage on a CPU; null: one a core. One is cheapest for small students.
        width: factor on the students' channels, and on a distilled teacher's: the published ones, or for students of
            the backbone 64 at stride 4 and twice as many at each further stage.
        stride: pixels between neighbouring cells of the maps; 1 describes every pixel.
        normalization: "none" for e + w v; "zscore" for the sum of both, each standardised over the pixels of normal
            validation images (published); "cells" for e + w v, each cell standardised over training images (ours), for
            products that are always in the same place: what is hard to imitate there in every image is then not odd.
            Several patch sizes or stages are averaged after that.
        variance_weight: w of the students' variance v next to the error e; 1 is published.
        pooled_cells: the image score is the mean of that many highest values of the map; 1 is the maximum.
        inference: transforms of images that are scored or that statistics are made of.
    """

    cpu_threads: PositiveInt | None
    width: PositiveFloat
    stride: Literal[1, 2, 4, 8]
    backbone: BackboneParams
    teacher: Annotated[DistilledTeacherParams | BackboneTeacherParams, Field(discriminator="kind")]
    students: StudentsParams
    inference: Transforms
    normalization: Normalization
    variance_weight: NonNegativeFloat
    pooled_cells: PositiveInt

    @model_validator(mode="after")
    def check_consistency(self) -> Self:
        """Raise ValueError where values that are right by themselves contradict each other."""
        size = size_of(self.inference)
        if size_of(self.students.augmentation) != size:
            raise ValueError("Resize has another size in students or inference: make them equal")
        cells = (-(-size // self.stride)) ** 2
        if self.pooled_cells > cells:
            raise ValueError(f"pooled_cells: {self.pooled_cells} are more than the {cells} cells of a map")
        if any(not isinstance(step.size, int) for step in self.students.augmentation if isinstance(step, RandomCrop)):
            raise ValueError("students.augmentation: students learn from images, give RandomCrop a number of pixels")
        if {step.name for step in self.inference} != {"Resize", "ToImage", "Normalize"}:
            raise ValueError("inference: nothing random, only Resize, ToImage and Normalize")
        if isinstance(self.teacher, DistilledTeacherParams):
            self.check_patches(self.teacher, size)
        return self

    def check_patches(self, teacher: DistilledTeacherParams, size: int) -> None:
        """Raise ValueError where a distilled teacher contradicts the rest."""
        largest = max(teacher.patch_sizes)
        if size_of(teacher.augmentation) != size:
            raise ValueError("Resize has another size in teacher or inference: make them equal")
        if size < largest:
            raise ValueError(f"images of {size} px are smaller than the patch of {largest} px: raise Resize's size")
        if len(set(teacher.patch_sizes)) < len(teacher.patch_sizes):
            raise ValueError("patch_sizes names a size twice")
        if len(teacher.patch_sizes) > 1 and self.normalization == "none":
            raise ValueError(
                "several patch_sizes need normalization: zscore or cells, else the largest drowns the rest"
            )
        if teacher.tile % self.stride:
            raise ValueError(f"tile {teacher.tile} is not a multiple of stride {self.stride}")
        if teacher.training.batch_size < 2:
            raise ValueError("teacher.training.batch_size: the compactness loss compares patches, give it 2 or more")
        crops = [step.size for step in teacher.augmentation if isinstance(step, RandomCrop)]
        if crops != ["patch_size"]:
            raise ValueError("teacher.augmentation needs one RandomCrop of size patch_size")
