"""Fit patch histograms (`stages.core.runtime.histograms`) to normal images, and keep them in a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.io.lineage import Lineage, as_array
from stages.core.runtime.histograms import HistogramModel, patch_histograms


def fit_histograms(
    label_maps: UInt8[np.ndarray, "N H W"], *, grid: int, num_classes: int, shrinkage: float
) -> HistogramModel:
    """Fit mean and precision to the label maps of normal images.

        C = cov(h), ddof 1,    P = C⁺ with shrinkage 0,  else P = ((1 - s) C + s tr(C)/D I)⁺

    Shrinkage 0 is CSAD: the pseudo-inverse (singular values below 1e-15 of the largest count as 0) gives no weight to
    what never varied in training, so a class never seen in a cell adds nothing to the distance. A positive s makes it
    count, and keeps distances of unseen images in bounds where there are fewer images than dimensions. Where nothing
    varied at all, P is 0 and so is every distance.

    Raises:
        ValueError: fewer than two images, or shrinkage outside [0, 1].
    """
    if len(label_maps) < 2:
        raise ValueError(f"a covariance needs two images or more, there are {len(label_maps)}")
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage {shrinkage} is outside [0, 1]")
    histograms = patch_histograms(label_maps, grid=grid, num_classes=num_classes)
    covariance = np.atleast_2d(np.cov(histograms, rowvar=False))
    target = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    precision = np.linalg.pinv((1 - shrinkage) * covariance + shrinkage * target)
    return HistogramModel(grid, num_classes, histograms.mean(axis=0), precision)


def write_histogram_models(
    path: Path, models: Sequence[HistogramModel], *, made_from: Lineage, **others: np.ndarray
) -> None:
    """Write the grids, the number of classes, and mean and precision of each grid, and what all were made from.

    Args:
        path: of the file.
        models: to write.
        made_from: the segmentation.
        others: arrays of other models that go into the same file.
    """
    arrays = {f"mean_{model.grid}": model.mean for model in models}
    arrays |= {f"precision_{model.grid}": model.precision for model in models}
    header = {name: np.array([getattr(model, name) for model in models]) for name in ("grid", "num_classes")}
    write_arrays(path, **header, **arrays, **others, **as_array(made_from))


def read_histogram_models(path: Path) -> list[HistogramModel]:
    """Read the models in the order they were written.

    Raises:
        UserError: the file is missing an array or damaged.
    """
    header = read_arrays(path, ("grid", "num_classes"))
    models = []
    for grid, num_classes in zip(header["grid"].tolist(), header["num_classes"].tolist(), strict=True):
        mean, precision = read_arrays(path, (f"mean_{grid}", f"precision_{grid}")).values()
        models.append(HistogramModel(grid, num_classes, mean, precision))
    return models
