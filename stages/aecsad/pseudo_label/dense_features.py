"""A descriptor of every cell of a 64 x 64 grid: what the frozen encoder sees there, and its colour."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import to_float
from stages.core.running.console import progress

BATCH = 8
FIT_IMAGES = 32  # evenly spaced images that give the projection: 131,000 cells at 64 x 64 are plenty
LAB_UNIT = np.array([25 * 255 / 100, 12, 12], dtype=np.float32)  # clearly different lightness, and hue


@dataclass(frozen=True)
class Projection:
    """Standardisation, stride weights and principal components as one affine map: (f - mean) @ matrix."""

    mean: Float32[Tensor, " C"]
    matrix: Float32[Tensor, "C D"]

    def __call__(self, features: Float32[Tensor, "n h w C"]) -> Float32[Tensor, "n h w D"]:
        return (features - self.mean) @ self.matrix


def dense_descriptors(
    images: UInt8[Tensor, "N 3 H W"],
    encoder: FrozenEncoder,
    *,
    cells: int,
    stride_weights: Sequence[float],
    dimensions: int,
    colour_share: float,
    device: torch.device,
) -> Float32[np.ndarray, "N cells cells D"]:
    """Principal components of the encoder's features, then CIE Lab, per cell, with a total variance of 1.

    Features of stride 4, 8 and 16 are resized to the grid, standardised per channel and multiplied by their stride's
    weight before the principal components are taken (ComAD, Liu et al. 2023, clusters such features).

    Args:
        cells: side of the grid.
        stride_weights: one a stride of the encoder.
        dimensions: number of principal components.
        colour_share: of the total variance; the features have the rest. Raw features would drown the colour.

    Returns:
        D = dimensions + 3.
    """
    encoder = encoder.to(device)
    rows = torch.linspace(0, len(images) - 1, min(len(images), FIT_IMAGES)).round().long()
    sample = torch.cat([encode_cells(encoder, batch.to(device), cells) for batch in images[rows].split(BATCH)])
    projection = fit_projection(sample, repeat_weights(encoder.channels, stride_weights), dimensions)
    batches = images.split(BATCH)
    projected = [
        projection(encode_cells(encoder, batch.to(device), cells))
        for batch in progress(batches, total=len(batches), label="dense features")
    ]
    features, colour = torch.cat(projected).numpy(), lab_cells(images, cells)
    return np.concatenate([of_variance(features, 1 - colour_share), of_variance(colour, colour_share)], axis=-1)


def encode_cells(
    encoder: FrozenEncoder, images: UInt8[Tensor, "n 3 H W"], cells: int
) -> Float32[Tensor, "n cells cells C"]:
    """Features of all strides at every cell, on the CPU."""
    levels = [
        functional.interpolate(level, size=(cells, cells), mode="bilinear", align_corners=False)
        for level in encoder(to_float(images))
    ]
    return torch.cat(levels, dim=1).permute(0, 2, 3, 1).float().cpu()


def repeat_weights(channels: Sequence[int], weights: Sequence[float]) -> Float32[Tensor, " C"]:
    """Each stride's weight for each of its channels."""
    return torch.tensor(weights).repeat_interleave(torch.tensor(channels))


def fit_projection(features: Float32[Tensor, "n h w C"], weights: Float32[Tensor, " C"], dimensions: int) -> Projection:
    """Weighted principal components of standardised features; a constant channel has no part in them.

    The sign of each component is made unique: its largest coefficient is positive.
    """
    flat = features.flatten(0, 2)
    mean, std = flat.mean(dim=0), flat.std(dim=0)
    scale = torch.where(std > 0, weights / std, 0)
    weighted = (flat - mean) * scale
    _, vectors = torch.linalg.eigh((weighted.T @ weighted).double())
    leading = vectors.flip(1)[:, :dimensions].float()
    signs = leading.gather(0, leading.abs().argmax(dim=0, keepdim=True)).sign()
    return Projection(mean, scale[:, None] * leading * signs)


def of_variance(values: Float32[np.ndarray, "N h w D"], variance: float) -> Float32[np.ndarray, "N h w D"]:
    """Centred and scaled as a whole, to that sum of the channels' variances; constant values become 0."""
    centred = values - values.mean(axis=(0, 1, 2))
    total = float(np.square(centred).sum(axis=-1).mean())
    scale = np.sqrt(variance / total) if total > 0 else 0
    return np.asarray(centred * scale, dtype=np.float32)


def lab_cells(images: UInt8[Tensor, "N 3 H W"], cells: int) -> Float32[np.ndarray, "N cells cells 3"]:
    """Mean CIE Lab of each cell in steps of 25 (L), 12 (a) and 12 (b)."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    colours = [
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), (cells, cells), interpolation=cv2.INTER_AREA)
        for image in pixels
    ]
    return np.stack(colours).astype(np.float32) / LAB_UNIT
