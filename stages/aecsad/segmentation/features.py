"""Encoder features of the images the decoder trains on, computed once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float16, Int64, UInt8
from torch import Tensor

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import to_float
from stages.core.running.console import progress

BATCH = 8


@dataclass(frozen=True)
class StageFeatures:
    """Features at stride 4 and 16 in float16 on the CPU: 0.25 MB an image with EfficientNet-Lite0 at 256 px."""

    low: Float16[Tensor, "N c h w"]
    high: Float16[Tensor, "N C k l"]

    def __len__(self) -> int:
        return len(self.low)

    def batch(self, rows: Int64[Tensor, " B"], device: torch.device) -> tuple[Tensor, Tensor]:
        """Float32 features of some rows."""
        return self.low[rows].to(device).float(), self.high[rows].to(device).float()


def encode(encoder: FrozenEncoder, images: UInt8[Tensor, "N 3 S S"], *, label: str) -> StageFeatures:
    """Run the encoder over the images.

    Raises:
        ValueError: no image.
    """
    if not len(images):
        raise ValueError("no image to encode")
    starts = range(0, len(images), BATCH)
    batches: list[Sequence[Tensor]] = [
        [stage.half().cpu() for stage in encoder(to_float(images[start : start + BATCH].to(encoder.mean.device)))]
        for start in progress(starts, total=len(starts), label=label)
    ]
    return StageFeatures(torch.cat([batch[0] for batch in batches]), torch.cat([batch[2] for batch in batches]))
