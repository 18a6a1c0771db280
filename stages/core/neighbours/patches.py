"""Locally aware patch features: what surrounds each place of the image, from several encoder stages."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from stages.core.device import mixed_precision
from stages.core.frozen_encoder.encoder import STRIDES, FrozenEncoder
from stages.core.frozen_encoder.image_tensors import load_stack, to_float
from stages.core.running.console import progress

NEIGHBOURHOOD = 3  # cells; "patchsize" p = 3 of the paper


def iterate_patches(
    encoder: FrozenEncoder,
    folder: Path,
    files: Iterable[str],
    *,
    size: int,
    strides: Sequence[int],
    label: str,
    mixed: bool = False,
) -> Iterator[Float[Tensor, "h w C"]]:
    """Yield the patch features of one image after the other and move a progress bar that reads `label`.

    One image at a time, so that no result depends on which images come together and only one is in memory.

    Args:
        size: side in pixels to which images are resized.
        strides: encoder stages to join, the finest first.
        mixed: run the encoder in bfloat16 where that is faster.

    Raises:
        UserError: an image file cannot be read.
    """
    device = next(encoder.buffers()).device
    names = list(files)
    for name in progress(names, total=len(names), label=label):
        image = to_float(load_stack(folder, [name], size=size).to(device))
        with mixed_precision(device) if mixed else nullcontext():
            features = encoder(image)
        yield join_stages([features[STRIDES.index(stride)].float() for stride in strides])[0].permute(1, 2, 0)


def join_stages(stages: Sequence[Float[Tensor, "B _C _h _w"]]) -> Float[Tensor, "B C h w"]:
    """Average each stage over 3x3 cells, enlarge to the first stage's resolution and concatenate.

    Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022, section 3.1. As in anomalib's
    implementation, channels are joined as they are: the paper first pools them to a fixed number, which matters
    for the 1,536 channels of WideResNet and not for some hundred.
    """
    pooled = [functional.avg_pool2d(s, NEIGHBOURHOOD, stride=1, padding=NEIGHBOURHOOD // 2) for s in stages]
    size = pooled[0].shape[-2:]
    enlarged = [functional.interpolate(p, size=size, mode="bilinear", align_corners=False) for p in pooled[1:]]
    return torch.cat([pooled[0], *enlarged], dim=1)
