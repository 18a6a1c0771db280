"""Fill the memory bank with patches of the training images."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.neighbours.coreset import choose_coreset
from stages.core.neighbours.patches import iterate_patches
from stages.core.running.errors import UserError


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
    cells_per_image: int | None = None,
    mixed: bool = False,
) -> Float[Tensor, "k C"]:
    """Choose the patches that stand for all patches of the training images.

    Args:
        images: the image table; only its rows of split "train" are read.
        folder: holds the image files.
        size: side in pixels to which images are resized.
        ratio, dimensions, generator: see `choose_coreset`.
        cells_per_image: so many patches of each image, drawn at random, are chosen from; None: all.
        mixed: see `iterate_patches`.

    Raises:
        UserError: the table has no training image.
    """
    files = images.loc[images["split"] == "train", "file"].to_list()
    if not files:
        raise UserError("the image table has no training image: a memory bank needs normal images")
    per_image = iterate_patches(
        encoder, folder, files, size=size, strides=strides, label="training patches", mixed=mixed
    )
    patches = torch.cat([draw_cells(patches.flatten(0, 1), cells_per_image, generator) for patches in per_image])
    chosen = choose_coreset(patches, ratio=ratio, dimensions=dimensions, generator=generator)
    return patches[chosen.to(patches.device)]


def draw_cells(patches: Float[Tensor, "P C"], count: int | None, generator: torch.Generator) -> Float[Tensor, "p C"]:
    """`count` different patches, drawn at random; all where there are no more, or where it is None."""
    if count is None or count >= len(patches):
        return patches
    return patches[torch.randperm(len(patches), generator=generator)[:count].to(patches.device)]
