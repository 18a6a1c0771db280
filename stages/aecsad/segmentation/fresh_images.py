"""Labelled images that are augmented anew whenever they are drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from stages.aecsad.segmentation.small_changes import change_slightly
from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import to_float


@dataclass(frozen=True)
class FreshImages:
    """Images and labels before augmentation; CSAD's way, which takes an encoder pass a batch.

    Attributes:
        paste: `paste_components` with all settings but `random`.
        seed: together with the number of the iteration it decides every augmentation.
    """

    encoder: FrozenEncoder
    images: UInt8[np.ndarray, "N S S 3"]
    labels: UInt8[np.ndarray, "N S S"]
    paste: Callable[..., tuple[np.ndarray, np.ndarray]]
    seed: int

    def batch(self, rows: Int64[Tensor, " B"], *, step: int) -> tuple[tuple[Tensor, Tensor], UInt8[Tensor, "B S S"]]:
        """Features at stride 4 and 16 of augmented versions of some images, and their labels."""
        random = np.random.default_rng([self.seed, step])
        pairs = [self.augment(int(row), random) for row in rows]
        stack = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
        low, _, high = self.encoder(to_float(stack.to(self.encoder.mean.device)))
        return (low, high), torch.from_numpy(np.stack([labels for _, labels in pairs]))

    def augment(
        self, row: int, random: np.random.Generator
    ) -> tuple[UInt8[np.ndarray, "S S 3"], UInt8[np.ndarray, "S S"]]:
        """One image with pasted components and small changes."""
        pasted = self.paste(self.images[row], self.labels[row], random=random)
        return change_slightly(*pasted, random=random)
