"""A descriptor of every cell of a 64 x 64 grid: what the frozen encoder sees there, and its colour."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch.nn import functional

from stages.core.console import progress
from stages.core.image_tensors import to_float
from stages.core.networks.encoder import FrozenEncoder

BATCH = 8
LAB_UNIT = np.array([25 * 255 / 100, 12, 12], dtype=np.float32)  # clearly different lightness, and hue


def dense_descriptors(
    images: UInt8[Tensor, "N 3 H W"],
    encoder: FrozenEncoder,
    *,
    cells: int,
    weights: Sequence[float],
    dimensions: int,
    colour_share: float,
    device: torch.device,
) -> Float32[np.ndarray, "N cells cells D"]:
    """Principal components of the encoder's features, then CIE Lab, per cell, with a total variance of 1.

    Features of stride 4, 8 and 16 are resized to the grid, standardised per channel over all images and multiplied by
    their stride's weight before the principal components are taken (ComAD, Liu et al. 2023, clusters such features).

    Args:
        cells: side of the grid.
        weights: one a stride of the encoder.
        dimensions: number of principal components.
        colour_share: of the total variance; the features have the rest. Raw features would drown the colour.

    Returns:
        D = dimensions + 3.
    """
    stacked = []
    encoder = encoder.to(device)
    batches = images.split(BATCH)
    for batch in progress(batches, total=len(batches), label="dense features"):
        stacked.append([to_cells(level, cells).half().cpu() for level in encoder(to_float(batch.to(device)))])
    levels = [torch.cat(level).float() for level in zip(*stacked, strict=True)]
    weighted = torch.cat([w * standardised(level) for w, level in zip(weights, levels, strict=True)], dim=1)
    features = principal_components(weighted.permute(0, 2, 3, 1).numpy(), dimensions)
    colour = lab_cells(images, cells)
    return np.concatenate([of_variance(features, 1 - colour_share), of_variance(colour, colour_share)], axis=-1)


def to_cells(features: Tensor, cells: int) -> Tensor:
    return functional.interpolate(features, size=(cells, cells), mode="bilinear", align_corners=False)


def standardised(features: Tensor) -> Tensor:
    """Zero mean and unit variance per channel over images and cells; a constant channel becomes 0."""
    mean = features.mean(dim=(0, 2, 3), keepdim=True)
    std = features.std(dim=(0, 2, 3), keepdim=True)
    return (features - mean) / torch.where(std > 0, std, torch.ones_like(std))


def principal_components(features: Float32[np.ndarray, "N h w C"], dimensions: int) -> Float32[np.ndarray, "N h w D"]:
    """Projection on the leading eigenvectors of the covariance of centred features; signs are made unique."""
    flat = features.reshape(-1, features.shape[-1])
    _, vectors = np.linalg.eigh(flat.T @ flat)
    leading = vectors[:, ::-1][:, :dimensions]
    leading = leading * np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
    return (flat @ leading).reshape(*features.shape[:3], -1)


def of_variance(values: Float32[np.ndarray, "N h w D"], variance: float) -> Float32[np.ndarray, "N h w D"]:
    """Centred and scaled as a whole, to that sum of the channels' variances; constant values become 0."""
    centred = values - values.mean(axis=(0, 1, 2))
    total = float(np.square(centred).sum(axis=-1).mean())
    return (centred * np.float32(np.sqrt(variance / total if total > 0 else 0))).astype(np.float32)


def lab_cells(images: UInt8[Tensor, "N 3 H W"], cells: int) -> Float32[np.ndarray, "N cells cells 3"]:
    """Mean CIE Lab of each cell in steps of 25 (L), 12 (a) and 12 (b)."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    colours = [
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), (cells, cells), interpolation=cv2.INTER_AREA)
        for image in pixels
    ]
    return np.stack(colours).astype(np.float32) / LAB_UNIT
