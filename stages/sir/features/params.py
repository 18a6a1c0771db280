"""Parameters of the frozen teacher."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from stages.core.run.params import Params, Share

View = Literal["plain", "mirrored", "flipped", "rotated_90", "rotated_180", "rotated_270"]
SMALLEST_CODE = 2  # cells a side


class OneShotViewsParams(Params):
    """Views of single images, for one-shot trainings; each with all of the changes at random strengths.

    Attributes:
        images: training images that get them, in the order in which repetitions choose theirs: as many as
            `training.one_shot.repetitions` at least.
        views: of each.
        shift: by which a view is moved at most, down and across, as a share of the side.
        rotation: degrees by which it is turned at most, either way.
        scale: natural logarithm of the largest factor.
        light: share by which brightness and contrast are changed at most.
        flips: whether half of them are mirrored, and half turned upside down.
    """

    images: PositiveInt
    views: PositiveInt
    shift: Share
    rotation: NonNegativeFloat
    scale: NonNegativeFloat
    light: Share
    flips: bool


class TeacherParams(Params):
    """Section `sir.teacher` of a profile.

    Attributes:
        name: as in the section `encoder`.
        stages: timm's numbers, one after the other; stage n has stride 2^(n + 1).
        image_size: pixels a side, whatever the aspect ratio was.
        images: training images of a category that are kept at most, drawn at random; null for all.
        views: of each image; the training chooses one each time. "plain" alone: no augmentation.
        one_shot: views of single images, which one-shot trainings learn from instead of `views`; null for none.
    """

    name: str
    stages: Annotated[tuple[Literal[1, 2, 3, 4], ...], Field(min_length=1)]
    image_size: PositiveInt
    images: PositiveInt | None
    views: Annotated[tuple[View, ...], Field(min_length=1)]
    one_shot: OneShotViewsParams | None

    @model_validator(mode="after")
    def check_sizes(self) -> Self:
        """Raise ValueError where stages or sizes do not fit together."""
        stride = 2 ** (self.stages[-1] + 1)
        if any(later != earlier + 1 for earlier, later in zip(self.stages, self.stages[1:], strict=False)):
            raise ValueError(f"stages: {self.stages} do not follow each other")
        if self.image_size % stride or self.image_size < SMALLEST_CODE * stride:
            raise ValueError(
                f"image_size: {self.image_size} px are too small for stride {stride} or no multiple of it: take "
                f"{SMALLEST_CODE * stride} px or more"
            )
        if len(set(self.views)) < len(self.views):
            raise ValueError("views names one twice")
        return self
