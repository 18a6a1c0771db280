"""Nearest neighbours once more, at a higher input resolution: small structural defects fill more cells there."""

import logging
from pathlib import Path

import pandas as pd
import torch

from stages.aecsad.hybrid_fusion.params import FineNeighboursParams
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.neighbours.bank import Result, fill_bank, score_images

LOG = logging.getLogger(__name__)


def score_finely(
    images: pd.DataFrame, folder: Path, params: FineNeighboursParams | None, *, encoder: str, seed: int
) -> Result | None:
    """Score and map every image that is not for training; None where the branch is off.

    Three things make it affordable: the bank is chosen from a draw of training images and of their patches, the
    encoder runs in bfloat16 where that is faster, and every distance is still exact.

    Args:
        images: the image table.
        folder: holds the image files.
        encoder: its name.
        seed: of the draws and of the coreset.

    Raises:
        UserError: no training image, an unreadable image, or the encoder's weights cannot be had.
    """
    if params is None:
        LOG.info("no branch fine_neighbours: aecsad.hybrid_fusion.fine_neighbours is null in the profile")
        return None
    generator = seed_everything(seed)
    network = FrozenEncoder(encoder).to(pick_device())
    drawn = draw_training_images(images, count=params.training_images, generator=generator)
    bank = fill_bank(
        network, drawn, folder, size=params.image_size, strides=params.strides, mixed=True,
        cells_per_image=params.cells_per_image, ratio=params.coreset_ratio, dimensions=params.projection_dimensions,
        generator=generator,
    )  # fmt: skip
    LOG.info("fine_neighbours: bank of %d patches from %d training images", len(bank), len(drawn))
    return score_images(
        network, images, folder, bank,
        size=params.image_size, strides=params.strides, neighbours=params.neighbours, mixed=True,
    )  # fmt: skip


def draw_training_images(images: pd.DataFrame, *, count: int, generator: torch.Generator) -> pd.DataFrame:
    """`count` rows of split "train", drawn at random and in the table's order; all where there are no more."""
    training = images[images["split"] == "train"]
    drawn = torch.randperm(len(training), generator=generator)[:count].sort().values
    return training.iloc[drawn.numpy()]
