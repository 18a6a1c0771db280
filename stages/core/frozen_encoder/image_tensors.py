"""Images as tensors for the networks."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from stages.core.image_files.reading import read_image, resize_image


def load_stack(folder: Path, files: Iterable[str], *, size: int) -> UInt8[Tensor, "N 3 S S"]:
    """Read and resize images into one tensor of 8-bit RGB values (0.2 MB an image at 256 px).

    Raises:
        UserError: a file cannot be read.
    """
    return stack_images((read_image(folder / name) for name in files), size=size)


def stack_images(images: Iterable[UInt8[np.ndarray, "H W 3"]], *, size: int) -> UInt8[Tensor, "N 3 S S"]:
    """Resize images into one tensor."""
    resized = [torch.from_numpy(resize_image(image, size)) for image in images]
    return torch.stack(resized).permute(0, 3, 1, 2).contiguous()


def to_float(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """8-bit values as float32 in [0, 1]."""
    return images.to(torch.float32) / 255.0
