"""From an 8-bit image to a CLIP's input."""

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, pil_to_tensor, resize


def crop_and_normalise(image: UInt8[ndarray, "H W 3"], size: int) -> Float[Tensor, "3 S S"]:
    """CLIP's own preparation: shorter side to `size` (bicubic), central square, CLIP's mean and deviation."""
    picture = center_crop(resize(Image.fromarray(image), [size], InterpolationMode.BICUBIC), [size, size])
    return normalise(unit_range(picture))


def squash(image: UInt8[ndarray, "H W 3"], size: int) -> Float[Tensor, "3 S S"]:
    """The whole image as a square, bicubic, in [0, 1] and without CLIP's mean and deviation."""
    return unit_range(resize(Image.fromarray(image), [size, size], InterpolationMode.BICUBIC))


def normalise(image: Float[Tensor, "*B 3 S S"]) -> Float[Tensor, "*B 3 S S"]:
    """(x - mean) / std with the statistics of CLIP's training set."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))
    return (image - mean.to(image.device)) / std.to(image.device)


def unit_range(picture: Image.Image) -> Float[Tensor, "3 S S"]:
    values: Tensor = pil_to_tensor(picture)
    return values.to(torch.float32) / 255.0
