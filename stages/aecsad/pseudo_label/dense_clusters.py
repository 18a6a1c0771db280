"""Propose large, touching parts: pixels that look alike in every image belong to one kind."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional

from stages.aecsad.pseudo_label.dense_features import dense_descriptors
from stages.aecsad.pseudo_label.proposal import Proposal, instances_of_regions
from stages.core.device import pick_device
from stages.core.frozen_encoder.encoder import FrozenEncoder


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
    labels = [nearest_centres(image, centres, size=size) for image in descriptors]
    return np.stack(labels)


def nearest_centres(
    cells: Float32[np.ndarray, "h w D"], centres: Float32[np.ndarray, "k D"], *, size: int
) -> UInt8[np.ndarray, "size size"]:
    """Index of the nearest centre at every pixel, by smoothed squared distances."""
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
    overall = np.bincount(labels.ravel(), minlength=clusters) / labels.size
    inside = at_rim < overall
    kinds = np.where(inside, np.cumsum(inside), 0).astype(np.uint8)
    return np.asarray(kinds[labels])


def propose_by_clusters(
    images: UInt8[Tensor, "N 3 H W"],
    encoder_name: str,
    *,
    clusters: int,
    cells: int,
    cells_per_image: int,
    stride_weights: Sequence[float],
    dimensions: int,
    colour_share: float,
    min_area: float,
    seed: int,
) -> Proposal:
    """Instances are the connected regions of a cluster, and the cluster is their kind.

    Args:
        cells, stride_weights, dimensions, colour_share: see `dense_descriptors`.
        clusters, cells_per_image: see `label_cells`.
        min_area: smallest region, as a fraction of the image.
    """
    descriptors = dense_descriptors(
        images,
        FrozenEncoder(encoder_name),
        cells=cells,
        stride_weights=stride_weights,
        dimensions=dimensions,
        colour_share=colour_share,
        device=pick_device(),
    )
    size = images.shape[-1]
    labels = label_cells(descriptors, clusters=clusters, cells_per_image=cells_per_image, size=size, seed=seed)
    kinds = kinds_without_ground(labels, clusters=clusters)
    return instances_of_regions(kinds, min_area=min_area, kinds_known=True)
