"""The few shots that MadCLIP learns from: K normal and K anomalous images of the labelled pool, with their masks.

They are made into several static variants once before training, as in MVFA's and MadCLIP's published code; the frozen
encoder's features of these are computed once, then read.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64, UInt8
from PIL import Image
from torch import Tensor

from stages.clip.model.encoder import squash
from stages.clip.model.features import CachedFeatures, stack_features
from stages.core.encoder.cache import key_of
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.reading import Window, open_image, read_image

ANGLES = (-math.pi / 8, -math.pi / 16, math.pi / 16, math.pi / 8)
SHIFTS = ((0.1, 0.1), (-0.1, 0.1), (-0.1, -0.1), (0.1, -0.1))  # x, y; half of the image is 1
ZOOMS = (1.1, 1.15, 1.2, 1.3)
JITTER = 0.2  # brightness and contrast vary by up to this share
MASK_FROM = 0.5  # warped masks are 1 above it
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shots:
    """Images in [0, 1] and their masks; the order of the rows is variant by variant."""

    images: Float[Tensor, "N 3 S S"]
    masks: Float[Tensor, "N S S"]


def augment(shots: Shots, *, zoom_and_jitter: bool, generator: torch.Generator) -> Shots:
    """Return all images as they are, then turned, shifted, zoomed, jittered, and mirrored both ways.

    Args:
        shots: images and masks.
        zoom_and_jitter: 16 variants, as in MadCLIP's code; without them 11, as in MVFA's, which the paper follows.
        generator: draws the jitter, one brightness and one contrast for all images, as in the published code.
    """
    stacked = torch.cat([shots.images, shots.masks[:, None]], dim=1)
    variants = [stacked, *(turn(stacked, angle) for angle in ANGLES), *(shift(stacked, xy) for xy in SHIFTS)]
    if zoom_and_jitter:
        variants += [zoom(stacked, factor) for factor in ZOOMS]
        variants.append(torch.cat([jitter(shots.images, generator), stacked[:, 3:]], dim=1))
    variants += [stacked.flip(-1), stacked.flip(-2)]
    everything = torch.cat(variants)
    return Shots(everything[:, :3], (everything[:, 3] > MASK_FROM).float())


def turn(values: Float[Tensor, "N C S S"], angle: float) -> Float[Tensor, "N C S S"]:
    """Rotate about the centre by `angle` radians; the outside is mirrored in."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return warp(values, [[cosine, -sine, 0.0], [sine, cosine, 0.0]])


def shift(values: Float[Tensor, "N C S S"], xy: Sequence[float]) -> Float[Tensor, "N C S S"]:
    """Sample at places that are `xy` further; the outside is mirrored in."""
    return warp(values, [[1.0, 0.0, xy[0]], [0.0, 1.0, xy[1]]])


def warp(values: Float[Tensor, "N C S S"], matrix: Sequence[Sequence[float]]) -> Float[Tensor, "N C S S"]:
    """Sample bilinearly at the affine image of each place."""
    affine = torch.tensor(matrix).expand(len(values), 2, 3)
    places = F.affine_grid(affine, list(values.shape), align_corners=False)
    sampled: Tensor = F.grid_sample(values, places, mode="bilinear", padding_mode="reflection", align_corners=False)
    return sampled


def zoom(values: Float[Tensor, "N C S S"], factor: float) -> Float[Tensor, "N C S S"]:
    """Cut out the central part of 1 / factor, in whole pixels, and enlarge it to the old size."""
    size = values.shape[-1]
    kept = int(size / factor)
    start = (size - kept) // 2
    centre = values[..., start : start + kept, start : start + kept]
    enlarged: Tensor = F.interpolate(centre, size=(size, size), mode="bilinear", align_corners=False)
    return enlarged


def jitter(images: Float[Tensor, "N 3 S S"], generator: torch.Generator) -> Float[Tensor, "N 3 S S"]:
    """Change brightness and contrast, clamped to [0, 1].

    The contrast turns about the mean over channels and rows, column by column: the published code's choice, probably a
    slip for the mean over all pixels.
    """
    brightness, contrast = (1.0 + JITTER * (2.0 * torch.rand(2, generator=generator) - 1.0)).tolist()
    bright = images * brightness
    pivot = bright.mean(dim=(1, 2), keepdim=True)
    return torch.clamp((bright - pivot) * contrast + pivot, 0.0, 1.0)


@dataclass(frozen=True)
class LabelledShots:
    """Shots with what is known of them, row by row.

    Attributes:
        has_mask: False for an anomaly without a mask: its place is unknown. False for all where no anomaly has
            one: the normal images' empty masks alone would teach that nothing is ever abnormal.
    """

    shots: Shots
    labels: Float[Tensor, " N"]
    has_mask: Bool[Tensor, " N"]


def choose_shots(pool: pd.DataFrame, *, shots: int, repetitions: int, generator: torch.Generator) -> list[pd.DataFrame]:
    """Choose for each repetition the rows of K normal and K anomalous images, each part sorted by image_id.

    Raises:
        UserError: the pool has fewer of one kind.
    """
    kinds = [pool[~pool["is_anomalous"]], pool[pool["is_anomalous"]]]
    if min(map(len, kinds)) < shots:
        raise UserError(
            f"profile: madclip.shots: {shots} normal and {shots} anomalous images are wanted, the pool outside "
            f"test has {len(kinds[0])} and {len(kinds[1])}: lower it, or let the split set more anomalies aside for "
            "validation (`split.ratios`; `resplit: true` for a source with a split of its own)"
        )
    chosen = []
    for _ in range(repetitions):
        parts = [kind.iloc[sorted(torch.randperm(len(kind), generator=generator)[:shots].tolist())] for kind in kinds]
        chosen.append(pd.concat(parts).reset_index(drop=True))
    return chosen


def load_shots(rows: pd.DataFrame, folder: Path, *, size: int, window: Window | None) -> LabelledShots:
    """Read the images and masks of one repetition; the log names anomalies without a mask.

    Args:
        rows: of the pool.
        folder: the labelled pool, with `images` and `masks`.
        size: pixels a side.
        window: of the pool's images.

    Raises:
        UserError: a file cannot be read.
    """
    images = torch.stack([squash(read_image(folder / "images" / file, window), size) for file in rows["file"]])
    masks = torch.stack([read_mask(folder / "masks", files, size=size) for files in rows["mask_files"]])
    labels = torch.tensor(rows["is_anomalous"].to_numpy(dtype=np.float32))
    marked = torch.tensor([len(files) > 0 for files in rows["mask_files"]])
    has_mask = (marked | (labels == 0)) & marked.any()
    unmasked = rows["image_id"][((labels > 0) & ~marked).numpy()]
    if len(unmasked):
        LOG.warning(
            "%d of %d anomalous shots have no mask and are excluded from the segmentation losses: %s",
            len(unmasked), int(labels.sum()), ", ".join(unmasked),
        )  # fmt: skip
    return LabelledShots(Shots(images, masks), labels, has_mask)


def read_mask(folder: Path, files: Sequence[str], *, size: int) -> Float[Tensor, "S S"]:
    """Return 1 where any of the files is not zero, resized by nearest neighbour; zeros without files.

    Raises:
        UserError: a file cannot be read.
    """
    mask = np.zeros((size, size), dtype=bool)
    for name in files:
        with open_image(folder / name) as image:
            marked: UInt8[np.ndarray, "H W"] = np.asarray(image.convert("L")).astype(bool).astype(np.uint8)
        mask |= np.asarray(Image.fromarray(marked).resize((size, size), Image.Resampling.NEAREST)).astype(bool)
    return torch.from_numpy(mask.astype(np.float32))


@dataclass(frozen=True)
class Batch:
    """The images of one training step."""

    tokens: Float[Tensor, "B L T W"]
    labels: Float[Tensor, " B"]
    masks: Float[Tensor, "B S S"]
    has_mask: Bool[Tensor, " B"]


@dataclass(frozen=True)
class TrainingSet:
    """All variants of all shots; `keys` name their features in the cache."""

    images: Float[Tensor, "N 3 S S"]
    masks: Float[Tensor, "N S S"]
    labels: Float[Tensor, " N"]
    has_mask: Bool[Tensor, " N"]
    keys: tuple[str, ...]
    cached: CachedFeatures

    def batch(self, rows: Int64[Tensor, " B"]) -> Batch:
        """Load some rows onto the encoder's device; features that the cache lost are computed again."""
        device = self.cached.encoder.device
        features = [self.cached.recall(self.keys[row], self.images[row].clone) for row in rows.tolist()]
        return Batch(
            stack_features(features, device).tokens,
            *(values[rows].to(device) for values in (self.labels, self.masks, self.has_mask)),
        )


def build_training_set(
    shots: LabelledShots, cached: CachedFeatures, *, zoom_and_jitter: bool, generator: torch.Generator
) -> TrainingSet:
    """Make the variants and compute the features that are not in the cache yet."""
    variants = augment(shots.shots, zoom_and_jitter=zoom_and_jitter, generator=generator)
    copies = len(variants.images) // len(shots.labels)
    keys = tuple(key_of(image) for image in variants.images)
    for key, image in progress(zip(keys, variants.images, strict=True), total=len(keys), label="features of the shots"):
        cached.recall(key, image.clone)
    labels, has_mask = shots.labels.repeat(copies), shots.has_mask.repeat(copies)
    return TrainingSet(variants.images, variants.masks, labels, has_mask, keys, cached)


def draw_rows(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " B"]]:
    """Yield batches of row numbers, epoch after epoch in a new order; the last batch of an epoch may be smaller."""
    while True:
        yield from torch.randperm(count, generator=generator).split(batch_size)
