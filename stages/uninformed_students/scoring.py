"""Score images by where the students fail to imitate the teacher, and where they disagree."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor, nn

from stages.core.encoder.encoder import load_stack
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, rows_to_score
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.maps import to_half
from stages.uninformed_students.augmentation import Augmentation, size_of
from stages.uninformed_students.params import Normalization, UninformedStudentsParams
from stages.uninformed_students.patch_network import PatchNetwork

CELL_IMAGES = 100  # training images, the first by image_id, that standardise cell by cell; more would only cost time
CELL_FLOOR = 0.1  # share of the deviation over all pixels that each cell's gets on top


@dataclass(frozen=True)
class RawMaps:
    """Error and variance of one image or more, at the resolution of the descriptors.

    Attributes:
        error: e, squared distance of the students' mean to the teacher; at least 0.
        variance: v, mean squared distance of the students to their mean, their uncertainty; at least 0, and 0
            everywhere with a single student.
    """

    error: Float[Tensor, "*B h w"]
    variance: Float[Tensor, "*B h w"]


def raw_maps(students: Float[Tensor, "M B D h w"], teacher: Float[Tensor, "B D h w"]) -> RawMaps:
    """Compute regression error and predictive variance.

        mu = 1/M sum_k S_k,    e = ||mu - T^||²,    v = 1/M sum_k ||S_k - mu||²

    Bergmann et al., CVPR 2020, section 3.3, equations 7 and 8. v in the centred form: the difference of two large
    means of squares could come out below 0.

    Args:
        students: descriptors of the M students.
        teacher: T^, its normalised descriptors.

    Raises:
        ValueError: shapes differ (broadcasting would hide it).
    """
    if students.shape[1:] != teacher.shape:
        raise ValueError(f"shapes differ: students {tuple(students.shape[1:])}, teacher {tuple(teacher.shape)}")
    mean = students.mean(dim=0)
    error = (mean - teacher).square().sum(dim=1)
    return RawMaps(error, (students - mean).square().sum(dim=2).mean(dim=0))


@dataclass(frozen=True)
class ScoreRange:
    """Mean and deviation of e and of v over all pixels of anomaly-free images."""

    error: tuple[Float[Tensor, ""], Float[Tensor, ""]]
    variance: tuple[Float[Tensor, ""], Float[Tensor, ""]]


@dataclass(frozen=True)
class CellRange:
    """Mean and deviation of a = e + w v at each cell over anomaly-free images."""

    mean: Float[Tensor, "h w"]
    deviation: Float[Tensor, "h w"]


def plain_score_map(maps: RawMaps, *, variance_weight: float = 1.0) -> Float[Tensor, "*B h w"]:
    """Add both: a = e + w v, w being 1 as published."""
    return maps.error + variance_weight * maps.variance


def standardised_score_map(
    maps: RawMaps, normal: ScoreRange, *, variance_weight: float = 1.0
) -> Float[Tensor, "*B h w"]:
    """Add both, standardised on normal images.

        a = (e - e_mu) / e_sigma + w (v - v_mu) / v_sigma

    Bergmann et al., CVPR 2020, section 3.3, equation 9, with w = 1. Where sigma is 0 the term is 0: v with a single
    student.
    """
    total = torch.zeros_like(maps.error)
    for weight, values, (mean, deviation) in (
        (1.0, maps.error, normal.error),
        (variance_weight, maps.variance, normal.variance),
    ):
        total = total + weight * standardised(values, mean, deviation)
    return total


def standardised(
    values: Float[Tensor, "*B h w"], mean: Float[Tensor, "*cells"], deviation: Float[Tensor, "*cells"]
) -> Float[Tensor, "*B h w"]:
    """Compute (values - mean) / deviation, and 0 where nothing deviates."""
    varies = deviation > 0
    return torch.where(varies, (values - mean) / torch.where(varies, deviation, torch.ones_like(deviation)), 0.0)


def image_scores(maps: Float[Tensor, "B h w"], *, pooled_cells: int) -> Float[Tensor, " B"]:
    """Average the `pooled_cells` highest values of each map; 1 is the maximum, as published."""
    return maps.flatten(1).topk(pooled_cells, dim=1).values.mean(dim=1)


@dataclass(frozen=True)
class Ensemble:
    """A normalised teacher and its students."""

    teacher: PatchNetwork
    students: Sequence[PatchNetwork]


@torch.no_grad()
def map_image(
    ensemble: Ensemble, image: UInt8[Tensor, "1 3 S S"], inference: Augmentation, *, stride: int, tile: int
) -> RawMaps:
    """Compute e and v of one image, on the CPU; descriptors live for one tile only.

    On a CPU in float32, as the graph of a bundle computes.
    """
    teacher, (height, width) = ensemble.teacher, image.shape[-2:]
    padded = teacher.pad(inference.normalise(image).to(teacher.decode.weight.device))
    rows: dict[int, list[RawMaps]] = {}
    for part in teacher.tiles(height, width, stride=stride, side=tile):
        with nullcontext() if padded.device.type == "cpu" else teacher.precision(padded.device):
            described = teacher.describe_tile(padded, part, stride=stride)
            imitations = [student.describe_tile(padded, part, stride=stride) for student in ensemble.students]
        found = raw_maps(torch.stack(imitations).float(), described.float())
        rows.setdefault(part.rows.start, []).append(RawMaps(found.error.cpu(), found.variance.cpu()))
    return RawMaps(
        torch.cat([torch.cat([tile.error for tile in tiles], dim=2) for tiles in rows.values()], dim=1),
        torch.cat([torch.cat([tile.variance for tile in tiles], dim=2) for tiles in rows.values()], dim=1),
    )


@dataclass(frozen=True)
class FittedEnsemble:
    """A trained ensemble of whatever kind, ready to score.

    Attributes:
        dims: numbers of a descriptor, by scale: the patch size, or the stride of a stage.
        maps: e and v of one image by scale, on the CPU.
        state: all weights by name.
        teacher: of the students.
        networks: with weights of their own: the students, and a teacher that was distilled.
        by_features: the same as `maps`, with the encoder's features as a further argument; None where the teacher
            needs none.
    """

    dims: Mapping[str, int]
    maps: Callable[[UInt8[Tensor, "1 3 S S"]], Mapping[str, RawMaps]]
    state: Mapping[str, Tensor]
    teacher: nn.Module
    networks: tuple[nn.Module, ...]
    by_features: Callable[[UInt8[Tensor, "1 3 S S"], Sequence[Tensor]], Mapping[str, RawMaps]] | None


def score_images(
    read: "Reader", ranges: Mapping[str, ScoreRange | CellRange], images: pd.DataFrame, params: UninformedStudentsParams
) -> MethodResult:
    """Score images one by one: no score depends on the other test images, and maps are kept in half precision only.

    The maps are a; without standardisation divided by the descriptor's length. Their branch "variance" is v, the mean
    over the scales, divided by the descriptor's length. Maps are clipped at +-65,504, where float16 ends; scores
    are not.

    Args:
        read: of the image files.
        ranges: of `normal_ranges`.
        images: image table.
        params: of the stage.

    Raises:
        UserError: an image cannot be read, or there is none to score.
    """
    rows = rows_to_score(images)
    if rows.empty:
        raise UserError("the image table has only training images: there is nothing to score")
    cells = -(-size_of(params.inference) // params.stride)
    maps, uncertainty = (np.empty((len(rows), cells, cells), dtype=np.float16) for _ in range(2))
    scores = []
    for row, file in enumerate(progress(rows["file"], total=len(rows), label="anomaly maps")):
        raw = read.maps(file)
        found, combined = scores_of(raw, ranges, read.dims, params)
        scores.append({name: float(value) for name, value in found.items()})
        uncertainty[row] = half([one.variance / read.dims[name] for name, one in raw.items()])
        maps[row] = to_half(combined.numpy())
    table = pd.concat([rows.drop(columns="file").reset_index(drop=True), pd.DataFrame(scores)], axis=1)
    return MethodResult(table, AnomalyMaps(tuple(rows["image_id"]), maps, {"variance": uncertainty}))


@dataclass(frozen=True)
class Reader:
    """Turns image files into maps."""

    ensembles: Sequence[FittedEnsemble]
    folder: Path
    size: int

    @property
    def dims(self) -> dict[str, int]:
        """Numbers of a descriptor by scale."""
        return {name: count for ensemble in self.ensembles for name, count in ensemble.dims.items()}

    def maps(self, file: str) -> dict[str, RawMaps]:
        """Compute e and v of a file by scale."""
        image = load_stack(self.folder, [file], size=self.size)
        return {name: maps for ensemble in self.ensembles for name, maps in ensemble.maps(image).items()}


def normal_ranges(
    read: Reader, images: pd.DataFrame, normalization: Normalization, *, variance_weight: float
) -> dict[str, ScoreRange | CellRange]:
    """Measure by scale what its maps are standardised by; empty where they are not.

    Raises:
        UserError: an image cannot be read, or there is no validation image to standardise by.
    """
    if normalization == "none":
        return {}
    by_cell = normalization == "cells"
    normal = images[images["split"] == ("train" if by_cell else "validation")].sort_values("image_id")
    if normal.empty:
        raise UserError("there is no normal validation image to standardise the maps by: check the split's ratios")
    files = normal["file"].head(CELL_IMAGES if by_cell else len(normal)).to_list()
    found = [read.maps(file) for file in progress(files, total=len(files), label="maps of normal images")]
    if by_cell:
        return {name: cell_range([one[name] for one in found], variance_weight=variance_weight) for name in found[0]}
    return {name: score_range([one[name] for one in found]) for name in found[0]}


def score_range(maps: Sequence[RawMaps]) -> ScoreRange:
    """Compute mean and population deviation of e and of v over all pixels."""
    found = []
    for values in ([one.error for one in maps], [one.variance for one in maps]):
        deviation, mean = torch.std_mean(torch.cat(values).double(), correction=0)
        found.append((mean.float(), deviation.float()))
    return ScoreRange(*found)


def cell_range(maps: Sequence[RawMaps], *, variance_weight: float) -> CellRange:
    """Compute mean and population deviation of a = e + w v of each cell over the images.

    A cell's deviation gets a tenth of that over all pixels on top: some dozens of images may happen to agree.
    """
    values = torch.cat([plain_score_map(one, variance_weight=variance_weight) for one in maps]).double()
    deviation, mean = torch.std_mean(values, dim=0, correction=0)
    return CellRange(mean.float(), (deviation + CELL_FLOOR * values.std(correction=0)).float())


def combine(maps: RawMaps, normal: ScoreRange | CellRange | None, *, variance_weight: float) -> Float[Tensor, "1 h w"]:
    """Make the score map: e + w v, or the same standardised cell by cell, or both standardised by themselves."""
    if isinstance(normal, ScoreRange):
        return standardised_score_map(maps, normal, variance_weight=variance_weight)
    plain = plain_score_map(maps, variance_weight=variance_weight)
    return plain if normal is None else standardised(plain, normal.mean, normal.deviation)


def scores_of(
    raw: Mapping[str, RawMaps],
    ranges: Mapping[str, ScoreRange | CellRange],
    dims: Mapping[str, int],
    params: UninformedStudentsParams,
) -> tuple[dict[str, Float[Tensor, ""]], Float[Tensor, "h w"]]:
    """Return an image's score, from the mean of its maps over the scales, a value for every part of it, and its map.

    Args:
        raw: e and v by scale.
        ranges: of `normal_ranges`.
        dims: numbers of a descriptor by scale.
        params: of the stage.
    """
    combined = {
        name: combine(one, ranges.get(name), variance_weight=params.variance_weight) for name, one in raw.items()
    }

    def pooled(values: Float[Tensor, "1 h w"]) -> Float[Tensor, ""]:
        return image_scores(values, pooled_cells=params.pooled_cells)[0]

    found = {"score": pooled(torch.cat([*combined.values()]).mean(dim=0, keepdim=True))}
    for name, maps in raw.items():
        suffix = f"_{name}" if len(raw) > 1 else ""
        found |= {f"error{suffix}": pooled(maps.error), f"variance{suffix}": pooled(maps.variance)}
    shown = [one / (dims[name] if params.normalization == "none" else 1) for name, one in combined.items()]
    return found, torch.cat(shown).mean(dim=0)


def half(maps: Sequence[Float[Tensor, "1 h w"]]) -> Float16[np.ndarray, "h w"]:
    """Average over the scales."""
    return to_half(torch.cat([*maps]).mean(dim=0).numpy())
