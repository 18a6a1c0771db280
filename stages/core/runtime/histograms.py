"""Measure how unusual the areas of an image's component classes are: patch histograms and Mahalanobis distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, UInt8

CHUNK = 64  # images counted at once; bounds the memory for their keys to 34 MB at 256 px


@dataclass(frozen=True)
class HistogramModel:
    """Mean and precision (inverse covariance) of the histograms of normal images.

    Attributes:
        grid: the image is cut into grid x grid cells.
        num_classes: classes of the label maps, background included.
    """

    grid: int
    num_classes: int
    mean: Float64[np.ndarray, " D"]
    precision: Float64[np.ndarray, "D D"]

    @property
    def column(self) -> str:
        """Name of its distances in score tables."""
        return f"histogram_{self.grid}x{self.grid}"


def patch_histograms(
    label_maps: UInt8[np.ndarray, "N H W"], *, grid: int, num_classes: int
) -> Float64[np.ndarray, "N D"]:
    """Return the share of each class in each cell.

        h[cell * num_classes + c] = |{x in cell : label(x) = c}| / |cell| for c > 0, and 0 for the background

    Cells go down the columns (top left, bottom left, top right, bottom right), as in CSAD. Where the size is no
    multiple of the grid, the cells differ by a pixel.

    Returns:
        D = grid² * num_classes; each cell's entries sum to the share of it that components cover.

    Raises:
        ValueError: a label is not below num_classes, or the grid is finer than the pixels.
    """
    count, height, width = label_maps.shape
    if not 1 <= grid <= min(height, width):
        raise ValueError(f"a grid of {grid} x {grid} cells does not fit label maps of {height} x {width} pixels")
    if count and int(label_maps.max()) >= num_classes:
        raise ValueError(f"label {label_maps.max()} is not below num_classes {num_classes}")
    cell = (np.arange(width) * grid // width) * grid + (np.arange(height) * grid // height)[:, None]
    pixels = np.bincount(cell.ravel(), minlength=grid**2).astype(np.float64)
    depth = grid**2 * num_classes
    counts = [
        count_labels(cell * num_classes, label_maps[start : start + CHUNK], depth) for start in range(0, count, CHUNK)
    ]
    shares = np.concatenate([np.zeros((0, depth)), *counts]).reshape(count, grid**2, num_classes) / pixels[:, None]
    shares[:, :, 0] = 0
    return shares.reshape(count, depth)


def count_labels(offset: np.ndarray, label_maps: UInt8[np.ndarray, "n H W"], depth: int) -> Float64[np.ndarray, "n D"]:
    """Count the keys offset(x) + label(x) of every image."""
    key = offset + label_maps + (np.arange(len(label_maps)) * depth)[:, None, None]
    return np.bincount(key.ravel(), minlength=len(label_maps) * depth).reshape(-1, depth).astype(np.float64)


def histogram_distances(model: HistogramModel, label_maps: UInt8[np.ndarray, "N H W"]) -> Float64[np.ndarray, " N"]:
    """Return each image's Mahalanobis distance sqrt((h - m)ᵀ P (h - m)); rounding below zero becomes 0.

    Row by row: a product of matrices may round differently when there are more rows, and a distance must not depend
    on the other images.
    """
    histograms = patch_histograms(label_maps, grid=model.grid, num_classes=model.num_classes)
    rows = histograms - model.mean
    squared = np.array([row @ model.precision @ row for row in rows], dtype=np.float64)
    distances: Float64[np.ndarray, " N"] = np.sqrt(np.maximum(squared, 0))
    return distances
