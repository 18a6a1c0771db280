"""Fill the memory bank with patches of the training images."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from stages.baseline_knn.coreset import choose_coreset
from stages.baseline_knn.patches import iterate_patches
from stages.core.errors import UserError
from stages.core.networks.encoder import FrozenEncoder


def fill_bank(
    encoder: FrozenEncoder,
    images: pd.DataFrame,
    folder: Path,
    *,
    size: int,
    strides: Sequence[int],
    ratio: float,
    dimensions: int,
    generator: torch.Generator,
) -> Float[Tensor, "k C"]:
    """Choose the patches that stand for all patches of the training images.

    Args:
        images: the image table; only its rows of split "train" are read.
        folder: holds the image files.
        size: side in pixels to which images are resized.
        ratio, dimensions, generator: see `choose_coreset`.

    Raises:
        UserError: the table has no training image.
    """
    files = images.loc[images["split"] == "train", "file"].to_list()
    if not files:
        raise UserError("the image table has no training image: a memory bank needs normal images")
    per_image = iterate_patches(encoder, folder, files, size=size, strides=strides, label="training patches")
    patches = torch.stack([patches.flatten(0, 1) for patches in per_image]).flatten(0, 1)
    chosen = choose_coreset(patches, ratio=ratio, dimensions=dimensions, generator=generator)
    return patches[chosen.to(patches.device)]
