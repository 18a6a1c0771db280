"""Propose large, touching parts: pixels that look the same in every image belong to one kind.

Every cell of a grid is described by what the frozen encoder sees there and by its colour; clusters of these are kinds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional

from stages.aecsad.pseudo_label.params import ClustersParams
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.core.encoder.device import pick_device
from stages.core.encoder.encoder import FrozenEncoder, to_float
from stages.core.run.console import progress
from stages.core.run.parallel import on_all_cores

FIT_IMAGES = 32  # evenly spaced images that give the projection: 131,000 cells at 64 x 64 are plenty
LAB_UNIT = np.array([25 * 255 / 100, 12, 12], dtype=np.float32)  # clearly different lightness, and hue


@dataclass(frozen=True)
class Projection:
    """Standardisation, stride weights and principal components as one affine map: (f - mean) @ matrix."""

    mean: Float32[Tensor, " C"]
    matrix: Float32[Tensor, "C D"]

    def __call__(self, features: Float32[Tensor, "n h w C"]) -> Float32[Tensor, "n h w D"]:
        """Project the features."""
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
    """Return principal components of the encoder's features, then CIE Lab, per cell, with a total variance of 1.

    Features of stride 4, 8 and 16 are resized to the grid, standardised per channel and multiplied by their stride's
    weight before the principal components are taken (ComAD, Liu et al. 2023, clusters such features).

    Args:
        cells: side of the grid.
        stride_weights: one for each stride of the encoder.
        dimensions: number of principal components.
        colour_share: of the total variance; the features have the rest. Raw features would drown the colour.

    Returns:
        D = dimensions + 3.
    """
    encoder = encoder.to(device)
    rows = torch.linspace(0, len(images) - 1, min(len(images), FIT_IMAGES)).round().long()

    def encoded(image: UInt8[Tensor, "1 3 H W"]) -> Float32[Tensor, "1 c c C"]:
        return encode_cells(encoder, image.to(device), cells)

    sample = torch.cat(list(on_all_cores(encoded, images[rows].split(1))))
    projection = fit_projection(sample, repeat_weights(encoder.channels, stride_weights), dimensions)
    del sample
    features = np.empty((len(images), cells, cells, projection.matrix.shape[1]), dtype=np.float32)
    projected = on_all_cores(lambda image: projection(encoded(image))[0].numpy(), images.split(1))
    for row, found in enumerate(progress(projected, total=len(images), label="dense features")):
        features[row] = found
    colour = lab_cells(images, cells)
    scale_variance(features, 1 - colour_share)
    scale_variance(colour, colour_share)
    return np.concatenate([features, colour], axis=-1)


def encode_cells(
    encoder: FrozenEncoder, images: UInt8[Tensor, "n 3 H W"], cells: int
) -> Float32[Tensor, "n cells cells C"]:
    """Return features of all strides at every cell, on the CPU."""
    levels = [
        functional.interpolate(level, size=(cells, cells), mode="bilinear", align_corners=False)
        for level in encoder.recall(to_float(images))
    ]
    return torch.cat(levels, dim=1).permute(0, 2, 3, 1).float().cpu()


def repeat_weights(channels: Sequence[int], weights: Sequence[float]) -> Float32[Tensor, " C"]:
    """Repeat each stride's weight for each of its channels."""
    return torch.tensor(weights).repeat_interleave(torch.tensor(channels))


def fit_projection(features: Float32[Tensor, "n h w C"], weights: Float32[Tensor, " C"], dimensions: int) -> Projection:
    """Fit weighted principal components of standardised features; a constant channel has no part in them.

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


def scale_variance(values: Float32[np.ndarray, "N h w D"], variance: float) -> None:
    """Centre and scale as a whole, to that sum of the channels' variances, in place; constant values become 0."""
    values -= values.mean(axis=(0, 1, 2))
    total = float(np.stack([np.square(image).sum(axis=-1) for image in values]).mean())  # a copy of all takes memory
    values *= np.sqrt(variance / total) if total > 0 else 0


def lab_cells(images: UInt8[Tensor, "N 3 H W"], cells: int) -> Float32[np.ndarray, "N cells cells 3"]:
    """Return the mean CIE Lab of each cell in steps of 25 (L), 12 (a) and 12 (b)."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    colours = [
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), (cells, cells), interpolation=cv2.INTER_AREA)
        for image in pixels
    ]
    return np.stack(colours).astype(np.float32) / LAB_UNIT


def label_cells(
    descriptors: Float32[np.ndarray, "N h w D"], *, clusters: int, cells_per_image: int, size: int, seed: int
) -> UInt8[np.ndarray, "N size size"]:
    """Cluster cells of all images by k-means and label every pixel with its cluster, 0..clusters-1.

    Distances to the centres are smoothed over 3 x 3 cells and interpolated before the nearest is taken: borders come
    out smooth, and no label is invented between two others (a median of label numbers would invent them).

    Args:
        cells_per_image: random cells of each image that the centres are fitted to.
        size: side of the label maps in pixels.
    """
    count, height, width, depth = descriptors.shape
    cells = np.random.default_rng(seed).permuted(np.tile(np.arange(height * width), (count, 1)), axis=1)
    flat = descriptors.reshape(count, height * width, depth)
    sample = np.take_along_axis(flat, cells[:, :cells_per_image, None], axis=1).reshape(-1, depth)
    different = len(np.unique(sample.round(4), axis=0))  # plain images have fewer than that
    means = KMeans(min(clusters, different), n_init=3, random_state=seed)
    centres = means.fit(sample).cluster_centers_.astype(np.float32)
    return np.stack(list(on_all_cores(partial(nearest_centres, centres=centres, size=size), descriptors)))


def nearest_centres(
    cells: Float32[np.ndarray, "h w D"], centres: Float32[np.ndarray, "k D"], *, size: int
) -> UInt8[np.ndarray, "size size"]:
    """Return the index of the nearest centre at every pixel, by smoothed squared distances."""
    squared = np.square(centres).sum(axis=1) - 2 * cells @ centres.T  # + ||cell||², the same for every centre
    distances = torch.from_numpy(squared).permute(2, 0, 1)[None]
    smooth = functional.avg_pool2d(distances, 3, stride=1, padding=1, count_include_pad=False)
    pixels = functional.interpolate(smooth, size=(size, size), mode="bilinear", align_corners=False)
    return pixels[0].min(dim=0).indices.to(torch.uint8).numpy()  # eight times faster than argmin


def kinds_without_ground(labels: UInt8[np.ndarray, "N H W"], *, clusters: int) -> UInt8[np.ndarray, "N H W"]:
    """Renumber clusters as kinds 1.., and those of the ground as 0.

    A cluster is ground when it holds a larger share of the images' border pixels than of all pixels: products lie
    inside the image, ground reaches its border.
    """
    rim = np.concatenate([labels[:, [0, -1], :].ravel(), labels[:, :, [0, -1]].ravel()])
    at_rim = np.bincount(rim, minlength=clusters) / rim.size
    overall = sum(np.bincount(image.ravel(), minlength=clusters) for image in labels) / labels.size
    inside = at_rim < overall
    kinds = np.where(inside, np.cumsum(inside), 0).astype(np.uint8)
    return np.asarray(kinds[labels])


def propose_by_clusters(
    images: UInt8[Tensor, "N 3 H W"], encoder_name: str, params: ClustersParams, *, min_area: float, seed: int
) -> Proposal:
    """Propose the connected regions of a cluster as instances, and the cluster as their kind.

    Args:
        images: RGB.
        encoder_name: of the frozen encoder.
        params: see `dense_descriptors` and `label_cells`.
        min_area: smallest region, as a fraction of the image.
        seed: of the k-means.
    """
    descriptors = dense_descriptors(
        images, FrozenEncoder(encoder_name), cells=params.cells, stride_weights=params.stride_weights,
        dimensions=params.dimensions, colour_share=params.colour_share, device=pick_device(),
    )  # fmt: skip
    labels = label_cells(
        descriptors, clusters=params.clusters, cells_per_image=params.cells_per_image, size=images.shape[-1], seed=seed
    )
    kinds = kinds_without_ground(labels, clusters=params.clusters)
    return instances_of_regions(kinds, min_area=min_area, kinds_known=True)
