"""The few shots: K normal and K anomalous images of the labelled pool, with their masks."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from stages.core.clip.preprocessing import squash
from stages.core.image_files.reading import open_image, read_image
from stages.core.image_files.windows import Window
from stages.core.running.errors import UserError
from stages.madclip.augmentation import Shots

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledShots:
    """Shots with what is known of them, row by row.

    Attributes:
        has_mask: False for an anomaly without a mask: where it is, nobody said. False for all where no anomaly has
            one: the normal images' empty masks alone would teach that nothing is ever abnormal.
    """

    shots: Shots
    labels: Float[Tensor, " N"]
    has_mask: Bool[Tensor, " N"]


def draw_shots(pool: pd.DataFrame, *, shots: int, draws: int, generator: torch.Generator) -> list[pd.DataFrame]:
    """For each draw the rows of K normal and K anomalous images, each part sorted by image_id.

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
    drawn = []
    for _ in range(draws):
        parts = [kind.iloc[sorted(torch.randperm(len(kind), generator=generator)[:shots].tolist())] for kind in kinds]
        drawn.append(pd.concat(parts).reset_index(drop=True))
    return drawn


def load_shots(rows: pd.DataFrame, folder: Path, *, size: int, window: Window | None) -> LabelledShots:
    """Read the images and masks of one draw; the log says which anomalies have no mask.

    Args:
        folder: the labelled pool, with `images` and `masks`.

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
            "%d of %d anomalous shots have no mask, the segmentation losses leave them out: %s",
            len(unmasked), int(labels.sum()), ", ".join(unmasked),
        )  # fmt: skip
    return LabelledShots(Shots(images, masks), labels, has_mask)


def read_mask(folder: Path, files: Sequence[str], *, size: int) -> Float[Tensor, "S S"]:
    """1 where any of the files is not zero, resized by nearest neighbour; zeros without files.

    Raises:
        UserError: a file cannot be read.
    """
    mask = np.zeros((size, size), dtype=bool)
    for name in files:
        with open_image(folder / name) as image:
            marked: UInt8[np.ndarray, "H W"] = np.asarray(image.convert("L")).astype(bool).astype(np.uint8)
        mask |= np.asarray(Image.fromarray(marked).resize((size, size), Image.Resampling.NEAREST)).astype(bool)
    return torch.from_numpy(mask.astype(np.float32))
