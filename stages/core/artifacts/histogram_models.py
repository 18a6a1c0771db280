"""Patch-histogram models, one a grid, in one file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.artifacts.arrays import read_arrays, write_arrays
from stages.core.patch_histogram import HistogramModel


def write_histogram_models(path: Path, models: Sequence[HistogramModel]) -> None:
    """Write the grids, the number of classes, and mean and precision of each grid."""
    arrays = {f"mean_{model.grid}": model.mean for model in models}
    arrays |= {f"precision_{model.grid}": model.precision for model in models}
    header = {name: np.array([getattr(model, name) for model in models]) for name in ("grid", "num_classes")}
    write_arrays(path, **header, **arrays)


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
