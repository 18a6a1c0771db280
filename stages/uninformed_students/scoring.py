"""Score every image that is not for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from stages.core.artifacts.anomaly_maps import write_anomaly_maps
from stages.core.artifacts.scores import write_scores
from stages.core.device import mixed_precision
from stages.core.frozen_encoder.image_tensors import load_stack
from stages.core.running.atomic import replacing_folder
from stages.core.running.console import progress
from stages.core.running.errors import UserError
from stages.uninformed_students.augmentation import Augmentation, Transforms, size_of
from stages.uninformed_students.maps import (
    RawMaps,
    ScoreRange,
    image_scores,
    plain_score_map,
    raw_maps,
    standardised_score_map,
)
from stages.uninformed_students.params import Normalization
from stages.uninformed_students.patch_network import PatchNetwork

CELL_IMAGES = 100  # training images, the first by image_id, that standardise cell by cell; more would only cost time
CELL_FLOOR = 0.1


@dataclass(frozen=True)
class Ensemble:
    """A normalised teacher and its students."""

    teacher: PatchNetwork
    students: Sequence[PatchNetwork]


@dataclass(frozen=True)
class Result:
    """Scores (image_id, split, score, a column a branch) and, row by row, two maps of the same images.

    Attributes:
        maps: the anomaly map a; without standardisation divided by the descriptor's length, as float16 ends at 65,504.
        uncertainty: v, the mean over the patch sizes, divided by the descriptor's length.
    """

    scores: pd.DataFrame
    maps: Float16[np.ndarray, "N h w"]
    uncertainty: Float16[np.ndarray, "N h w"]


@torch.no_grad()
def map_image(
    ensemble: Ensemble, image: UInt8[Tensor, "1 3 S S"], inference: Augmentation, *, stride: int, tile: int
) -> RawMaps:
    """e and v of one image, on the CPU. Descriptors live for one tile only."""
    teacher, (height, width) = ensemble.teacher, image.shape[-2:]
    padded = teacher.pad(inference.normalise(image).to(teacher.decode.weight.device))
    shape = (1, -(-height // stride), -(-width // stride))
    maps = RawMaps(torch.empty(shape), torch.empty(shape))
    for part in teacher.tiles(height, width, stride=stride, side=tile):
        with mixed_precision(padded.device):
            described = teacher.describe_tile(padded, part, stride=stride)
            imitations = [student.describe_tile(padded, part, stride=stride) for student in ensemble.students]
        found = raw_maps(torch.stack(imitations).float(), described.float())
        maps.error[:, part.rows, part.columns] = found.error.cpu()
        maps.variance[:, part.rows, part.columns] = found.variance.cpu()
    return maps


def score_images(
    ensembles: Mapping[int, Ensemble],
    images: pd.DataFrame,
    folder: Path,
    inference: Transforms,
    *,
    stride: int,
    tile: int,
    normalization: Normalization,
    pooled_cells: int,
) -> Result:
    """Score images one by one: no score depends on the other test images.

    Args:
        ensembles: by patch size.
        normalization: see `UninformedStudentsParams`.

    Raises:
        UserError: an image cannot be read, or there is no validation image to standardise by.
    """
    rows = images.loc[images["split"] != "train", ["image_id", "split", "file"]].sort_values("image_id")
    validation = np.flatnonzero(rows["split"] == "validation")
    if normalization == "zscore" and not len(validation):
        raise UserError("there is no normal validation image to standardise the maps by: check the split's ratios")
    train = images[images["split"] == "train"].sort_values("image_id")["file"].head(CELL_IMAGES).to_list()
    read = Reader(folder, inference, stride, tile)
    dims = {patch_size: ensemble.teacher.arguments["dim"] for patch_size, ensemble in ensembles.items()}
    lengths = dims if normalization == "none" else dict.fromkeys(dims, 1)
    raw: dict[int, list[RawMaps]] = {}
    combined: dict[int, list[Float[Tensor, "1 h w"]]] = {}
    for patch_size, ensemble in ensembles.items():
        raw[patch_size] = maps = read.maps(ensemble, rows["file"].to_list())
        normal = None if normalization == "none" else [maps[row] for row in validation]
        if normalization == "cells":
            normal = read.maps(ensemble, train)
        combined[patch_size] = combine(maps, normal, by_cell=normalization == "cells")
    return tabulate(rows.drop(columns="file"), raw, combined, lengths, dims, pooled_cells=pooled_cells)


@dataclass(frozen=True)
class Reader:
    """How image files become maps."""

    folder: Path
    inference: Transforms
    stride: int
    tile: int

    def maps(self, ensemble: Ensemble, files: Sequence[str]) -> list[RawMaps]:
        """e and v of each file, one image after the other."""
        transform, found = Augmentation(self.inference, patch_size=ensemble.teacher.patch_size), []
        for name in progress(files, total=len(files), label="anomaly maps"):
            image = load_stack(self.folder, [name], size=size_of(self.inference))
            found.append(map_image(ensemble, image, transform, stride=self.stride, tile=self.tile))
        return found


def combine(
    maps: Sequence[RawMaps], normal: Sequence[RawMaps] | None, *, by_cell: bool
) -> list[Float[Tensor, "1 h w"]]:
    """The score map of each image: e + v, or both standardised on the `normal` ones."""
    if normal is None:
        return [plain_score_map(one) for one in maps]
    spread = score_range(normal, by_cell=by_cell)
    return [standardised_score_map(one, spread) for one in maps]


def score_range(maps: Sequence[RawMaps], *, by_cell: bool) -> ScoreRange:
    """Mean and population deviation of e and of v over all pixels, or of each cell over the images.

    A cell's deviation gets a tenth of that over all pixels on top: some dozens of images may happen to agree.
    """
    found = []
    for values in ([one.error for one in maps], [one.variance for one in maps]):
        pixels = torch.cat(values).double()
        deviation, mean = torch.std_mean(pixels, correction=0)
        if by_cell:
            own, mean = torch.std_mean(pixels, dim=0, correction=0)
            deviation = own + CELL_FLOOR * deviation
        found.append((mean.float(), deviation.float()))
    return ScoreRange(*found)


def tabulate(
    rows: pd.DataFrame,
    raw: Mapping[int, Sequence[RawMaps]],
    combined: Mapping[int, Sequence[Float[Tensor, "1 h w"]]],
    lengths: Mapping[int, int],
    dims: Mapping[int, int],
    *,
    pooled_cells: int,
) -> Result:
    """One score an image from the mean of its maps over the patch sizes, and a column for every part of it.

    Args:
        lengths, dims: what to divide maps and variances by before they are stored.
    """
    together = [torch.cat(maps).mean(dim=0) for maps in zip(*combined.values(), strict=True)]
    table = rows.assign(score=pooled(together, pooled_cells))
    for patch_size, maps in raw.items():
        suffix = f"_{patch_size}" if len(raw) > 1 else ""
        table[f"error{suffix}"] = pooled([one.error[0] for one in maps], pooled_cells)
        table[f"variance{suffix}"] = pooled([one.variance[0] for one in maps], pooled_cells)
    stored = [torch.cat([combined[p][row] / lengths[p] for p in raw]).mean(dim=0) for row in range(len(together))]
    spread = [torch.cat([raw[p][row].variance / dims[p] for p in raw]).mean(dim=0) for row in range(len(together))]
    return Result(table, half(torch.stack(stored)), half(torch.stack(spread)))


def pooled(maps: Sequence[Float[Tensor, "h w"]], cells: int) -> list[float]:
    """The image score of each map."""
    return [float(image_scores(one[None], pooled_cells=cells)) for one in maps]


def half(maps: Float[Tensor, "N h w"]) -> Float16[np.ndarray, "N h w"]:
    """As float16."""
    return maps.numpy().astype(np.float16)


def write_result(path: Path, result: Result) -> None:
    """Write `path`/scores.parquet and `path`/maps, with v as the branch "variance", both or neither."""
    with replacing_folder(path) as folder:
        write_scores(folder / "scores.parquet", result.scores)
        branches = {"variance": result.uncertainty}
        write_anomaly_maps(folder / "maps", result.scores["image_id"].to_list(), result.maps, branches)
