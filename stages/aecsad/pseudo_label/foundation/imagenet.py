"""The input of networks that were trained with ImageNet's statistics."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

MEAN = np.array((0.485, 0.456, 0.406), dtype=np.float32)
STD = np.array((0.229, 0.224, 0.225), dtype=np.float32)


def normalised(image: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "3 H W"]:
    """RGB in units of ImageNet's deviation around its mean."""
    pixels = (image.astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
