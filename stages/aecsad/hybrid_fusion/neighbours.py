"""Nearest neighbours at a higher input resolution, where small structural defects fill more cells."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import pandas as pd
import torch

from stages.aecsad.hybrid_fusion.discriminating import read_damaged
from stages.aecsad.hybrid_fusion.params import FineNeighboursParams
from stages.aecsad.hybrid_fusion.views import fill_viewed_bank
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.images.aspect import read_aspect, sides_for
from stages.core.images.grey_range import read_grey_range
from stages.core.io.result import MethodResult
from stages.core.io.rotation import rotations
from stages.core.io.tables import image_files
from stages.core.neighbours.bank import Bank, PatchReader, add_rotated, score_images, training_files
from stages.core.neighbours.memory import MemoryBank
from stages.core.runtime.reading import open_image

LOG = logging.getLogger(__name__)
FINER = 1.25  # times the side, for pictures that have as many pixels: of a part of 1024 px, 640 show more than 512
MEASURED = 25  # training images at most whose sizes are looked at


@dataclass(frozen=True)
class FineNeighbours:
    """What the branch makes of all images that are not for training, and what it judges them by."""

    result: MethodResult
    bank: MemoryBank


def score_at_high_resolution(
    images: pd.DataFrame, inputs: Path, params: FineNeighboursParams | None, *, encoder: str, seed: int
) -> FineNeighbours | None:
    """Score and map every image that is not for training; None where the branch is off.

    It is affordable because the bank is small and its patches are those of the coarsest stage's cells, and because
    the encoder runs in bfloat16 where that is faster. Every distance is still exact. No other stage sees images at
    this resolution: features are kept on disk only where validation rotates and asks for them several times.

    Args:
        images: the image table.
        inputs: a split's `inputs/`.
        encoder: its name.
        seed: of the draws and of the coreset.

    Raises:
        UserError: no training image, an unreadable image, or the encoder's weights are not available.
    """
    if params is None:
        LOG.info("no branch fine_neighbours: aecsad.hybrid_fusion.fine_neighbours is null in the profile")
        return None
    generator = seed_everything(seed)
    size = sides_for(read_aspect(inputs), side_for(inputs, images, params.image_size))
    network = FrozenEncoder(encoder).to(pick_device())
    reader = PatchReader(
        network, image_files(inputs), size=size, strides=params.strides, mixed=True, grid="coarsest",
        cached=bool(rotations(images)),
    )  # fmt: skip
    fill = partial(fill_from_draw, reader, params=params, generator=generator)
    bank = fill(images)
    result = score_images(reader, images, bank)
    result = add_rotated(reader, images, result, fill)
    memory = MemoryBank(
        bank, encoder, size, params.strides, mixed=True, grey_range=read_grey_range(inputs), grid=reader.grid
    )  # fmt: skip
    return FineNeighbours(result, memory)


def side_for(inputs: Path, images: pd.DataFrame, side: int) -> int:
    """Return the side in pixels of the square that has as many pixels as images are resized to.

    Images that are smaller than a square of FINER times `side` would only be blurred by more pixels.

    Args:
        inputs: a split's `inputs/`.
        images: the image table; of its training images the median decides.
        side: for smaller images.

    Raises:
        UserError: no training image, or an unreadable one.
    """
    files = training_files(images)
    pixels = []
    for file in files[:: -(-len(files) // MEASURED)]:
        with open_image(image_files(inputs) / file) as image:
            pixels.append(image.width * image.height)
    finer = round(FINER * side)
    return finer if median(pixels) >= finer**2 else side


def fill_from_draw(
    reader: PatchReader, images: pd.DataFrame, *, params: FineNeighboursParams, generator: torch.Generator
) -> Bank:
    """Fill a bank from a draw of the training images; see `fill_viewed_bank`."""
    drawn = draw_training_images(images, count=params.training_images, generator=generator)
    bank = fill_viewed_bank(
        reader, drawn, count=params.bank_patches, cells_per_image=params.cells_per_image,
        dimensions=params.projection_dimensions, generator=generator,
        broken=read_damaged(reader, training_files(drawn), seed=generator.initial_seed()),
    )  # fmt: skip
    counts = " and ".join(str(len(view.patches)) for view in bank.views)
    LOG.info("fine_neighbours: bank of %s patches from %d training images", counts, len(drawn))
    return bank


def draw_training_images(images: pd.DataFrame, *, count: int, generator: torch.Generator) -> pd.DataFrame:
    """Draw `count` rows of split "train" at random, in the table's order; all where there are no more."""
    training = images[images["split"] == "train"]
    drawn = torch.randperm(len(training), generator=generator)[:count].sort().values
    return training.iloc[drawn.numpy()]
