"""The lists of image transforms in a profile, and their effect on an image."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, UInt8
from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from stages.core.encoder.encoder import to_float
from stages.core.run.params import Params, Share

Colour = tuple[float, float, float]


class Resize(Params):
    """To a square of `size` pixels, whatever the aspect ratio, as everywhere in this repository."""

    name: Literal["Resize"]
    size: PositiveInt


class RandomCrop(Params):
    """A square of `size` pixels anywhere in the image; "patch_size" stands for the network's."""

    name: Literal["RandomCrop"]
    size: PositiveInt | Literal["patch_size"]


class RandomHorizontalFlip(Params):
    """Left becomes right with probability `p`."""

    name: Literal["RandomHorizontalFlip"]
    p: Share


class RandomVerticalFlip(Params):
    """Top becomes bottom with probability `p`."""

    name: Literal["RandomVerticalFlip"]
    p: Share


class RandomRotation(Params):
    """By any angle from -degrees to degrees, nearest pixel; the corners become black."""

    name: Literal["RandomRotation"]
    degrees: NonNegativeFloat


class ToImage(Params):
    """8-bit values as float32 in [0, 1]: what Normalize takes."""

    name: Literal["ToImage"]


class Normalize(Params):
    """(x - mean) / std for each of the channels R, G, B; what the backbone was trained with."""

    name: Literal["Normalize"]
    mean: Colour
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


Random = RandomCrop | RandomHorizontalFlip | RandomVerticalFlip | RandomRotation
Step = Annotated[Resize | Random | ToImage | Normalize, Field(discriminator="name")]


def check_order(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Require Resize once and first, ToImage and Normalize once and last.

    Raises:
        ValueError: another order.
    """
    names = [step.name for step in steps]
    fixed = {"Resize", "ToImage", "Normalize"}
    if names[:1] != ["Resize"] or names[-2:] != ["ToImage", "Normalize"] or fixed & set(names[1:-2]):
        raise ValueError(f"begin with Resize and end with ToImage, Normalize, each once; this is {', '.join(names)}")
    return steps


Transforms = Annotated[tuple[Step, ...], Field(min_length=3), AfterValidator(check_order)]


def size_of(steps: Sequence[Step]) -> int:
    """Return the pixels a side after Resize."""
    (size,) = [step.size for step in steps if isinstance(step, Resize)]
    return size


class Augmentation:
    """A list of transforms without its Resize, which is done when the images are read."""

    def __init__(self, steps: Sequence[Step], *, patch_size: int | None = None) -> None:
        """Prepare the steps of a list.

        Args:
            steps: of `Transforms`.
            patch_size: stands for the "patch_size" of RandomCrop; None where none of the steps names it.
        """
        random = [step for step in steps if isinstance(step, Random)]
        self.random = nn.Sequential(*(build(step, patch_size=patch_size) for step in random)) if random else None
        (normalize,) = [step for step in steps if isinstance(step, Normalize)]
        self.mean = torch.tensor(normalize.mean).view(3, 1, 1)
        self.std = torch.tensor(normalize.std).view(3, 1, 1)

    def __call__(self, images: UInt8[Tensor, "B 3 S S"], seeds: Sequence[int]) -> Float[Tensor, "B 3 s s"]:
        """Change every image by its own seed, which decides all that is random; torch's global generator does not move.

        Args:
            images: 8-bit RGB.
            seeds: one an image; ignored where nothing is random.
        """
        return self.normalise(self.vary(images, seeds))

    def vary(self, images: UInt8[Tensor, "B 3 S S"], seeds: Sequence[int]) -> UInt8[Tensor, "B 3 s s"]:
        """Apply all that is random, as described above, and nothing else."""
        if self.random is None:
            return images
        with torch.random.fork_rng(devices=[]):
            return torch.stack([self.change(image, seed) for image, seed in zip(images, seeds, strict=True)])

    def change(self, image: UInt8[Tensor, "3 S S"], seed: int) -> UInt8[Tensor, "3 s s"]:
        """Apply the random transforms."""
        assert self.random is not None
        torch.default_generator.manual_seed(seed)
        changed: Tensor = self.random(image)
        return changed

    def normalise(self, images: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
        """Apply ToImage and Normalize alone."""
        normalised = (to_float(images) - self.mean) / self.std
        return normalised.contiguous(memory_format=torch.channels_last)


def build(step: Random, *, patch_size: int | None) -> nn.Module:
    """Build the torchvision transform of the same name.

    Raises:
        ValueError: a crop of the network's size, which is not known.
    """
    from torchvision.transforms import v2  # takes seconds, which wrong settings do not wait for

    transform: nn.Module
    if isinstance(step, RandomCrop):
        size = patch_size if step.size == "patch_size" else step.size
        if size is None:
            raise ValueError("RandomCrop of patch_size without one")
        transform = v2.RandomCrop(size)
    elif isinstance(step, RandomRotation):
        transform = v2.RandomRotation(step.degrees)
    else:
        flip = v2.RandomHorizontalFlip if isinstance(step, RandomHorizontalFlip) else v2.RandomVerticalFlip
        transform = flip(step.p)
    return transform
