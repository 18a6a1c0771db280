"""Score images by where and how much the reconstruction misses the teacher's features."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat
from scipy.ndimage import gaussian_filter
from torch import Tensor

from stages.core.encoder.device import mixed_precision, pick_device
from stages.core.encoder.encoder import FrozenEncoder, load_stack, to_float
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, rows_to_score
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.run.params import Params
from stages.core.runtime.maps import to_half
from stages.sir.model.decoder import Features, pixel_cosine_distance
from stages.sir.model.model import Repetitions, SirModel

CELL_IMAGES = 100  # training images, the first by image_id, that standardise cell by cell; more would only cost time
CELL_FLOOR = 0.1  # share of the deviation over all pixels that each pixel's gets on top
OWN_BLUR = 2.0  # of a one-shot model's error on its own image, times that of its maps: edges are never in one place


class SigmaParams(Params):
    """Standard deviation of the Gaussian blur, in pixels of the teacher's input; 0 for none.

    Attributes:
        one_shot: of maps by models of one image, in pixels; 0 for no blur.
        full_shot: of maps by models of all images; where they are standardised a wider one is better.
    """

    one_shot: NonNegativeFloat
    full_shot: NonNegativeFloat


class MapsParams(Params):
    """Section `sir.maps` of a profile.

    Attributes:
        loops: the map of the "last" loop, or the "mean" over all.
        fusion: "sum" or "product" of the stages' maps.
        sigma: of the Gaussian blur.
        normalization: "none" (published), or "cells" (ours): each pixel of the blurred map by its mean and deviation
            over training images, for products that are always in the same place: what is hard to rebuild there in every
            image is then not odd. A one-shot model knows a single image: its error there, blurred twice as far, is
            subtracted from its maps.
        pooled_share: the image score is the mean of that share of the map's highest values; 0 is the maximum, 1 the
            mean.
    """

    loops: Literal["last", "mean"]
    fusion: Literal["sum", "product"]
    sigma: SigmaParams
    normalization: Literal["none", "cells"]
    pooled_share: Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class PixelRange:
    """Mean and deviation of a map's pixels over normal images."""

    mean: Float[np.ndarray, "S S"]
    deviation: Float[np.ndarray, "S S"]


class Mapper:
    """All that makes an image's maps, by every repetition.

    Attributes:
        models: one a repetition; the first decides.
        encoder: the teacher.
        size: pixels a side of the teacher's input.
        sigma: of the blur.
        cells: of the finest stage, a side.
        normals: what each repetition's blurred map is standardised by; empty where it is not.
    """

    def __init__(self, trained: Repetitions, params: MapsParams) -> None:
        """Put models and teacher on the device."""
        device, self.params = pick_device(), params
        self.size, stages = int(trained.teacher["image_size"]), trained.teacher["stages"]
        self.encoder = FrozenEncoder(trained.teacher["name"], stages=stages).to(device)
        self.models = [model.to(memory_format=torch.channels_last).to(device) for model in trained.models]
        self.sigma = params.sigma.one_shot if trained.shots == "one_shot" else params.sigma.full_shot
        self.cells = self.size // 2 ** (stages[0] + 1)
        self.normals: list[PixelRange] = []

    def maps(self, folder: Path, file: str) -> Float[np.ndarray, "R S S"]:
        """Make one map a repetition."""
        features = self.features(folder, file)
        maps = [self.map(model, features, sigma=self.sigma) for model in self.models]
        if self.normals:
            maps = [(one - normal.mean) / normal.deviation for one, normal in zip(maps, self.normals, strict=True)]
        return np.concatenate(maps)

    def features(self, folder: Path, file: str) -> list[Float[Tensor, "1 C h w"]]:
        """Compute the teacher's features of a file, rounded as those that were trained on."""
        image = to_float(load_stack(folder, [file], size=self.size)).to(self.encoder.mean.device)
        return [stage.half().float() for stage in self.encoder.recall(image)]

    def map(self, model: SirModel, features: Features, *, sigma: float) -> Float[np.ndarray, "1 S S"]:
        """Make the map by one model, not standardised; on a CPU in float32, as the graph of a bundle computes."""
        device = features[0].device
        with mixed_precision(device) if device.type == "cuda" else nullcontext():
            targets, loops = model(features)
        rebuilt = [[stage.float() for stage in loop] for loop in loops]
        return anomaly_maps(
            targets, rebuilt, size=self.size, chosen=self.params.loops, fusion=self.params.fusion, sigma=sigma
        )


@torch.no_grad()
def fit_mapper(
    trained: Repetitions, images: pd.DataFrame, folder: Path, params: MapsParams, *, category: str
) -> Mapper:
    """Put the models together with what their maps are standardised by, if they are.

    Args:
        trained: the models.
        images: image table, which has the training images that the models have learned from.
        folder: of the image files.
        params: how maps and scores are made.
        category: whose images these are.

    Raises:
        UserError: an image cannot be read, or there is no training image to standardise by.
    """
    mapper = Mapper(trained, params)
    if params.normalization == "none":
        return mapper
    if trained.shots == "one_shot":
        known = images.set_index("image_id")["file"]
        mapper.normals = [
            own_error(mapper, model, folder, known[drawn_of(own, category, known=known.index)])
            for model, own in zip(mapper.models, trained.drawn, strict=True)
        ]
        return mapper
    files = images.loc[images["split"] == "train"].sort_values("image_id")["file"].head(CELL_IMAGES).to_list()
    if not files:
        raise UserError("the image table has no training image to standardise the maps by: check the split's ratios")
    found = (mapper.maps(folder, file)[0] for file in progress(files, total=len(files), label="maps of normal images"))
    mapper.normals = [pixel_range(found)]
    return mapper


def drawn_of(drawn: Mapping[str, str], category: str, *, known: Collection[str]) -> str:
    """Return the image_id of the one image that a repetition learned from.

    Raises:
        UserError: the model learned from none of this category, or from one that is not there any more.
    """
    image_id = drawn.get(category)
    if image_id is None:
        raise UserError(
            f"{category}: the one-shot model learned from an image of {', '.join(sorted(drawn))} only: add the "
            "category to methods.sir.categories and run `dvc repro`"
        )
    if image_id not in known:
        raise UserError(f"{category}: the image that was learned from, {image_id}, is not there: run `dvc repro`")
    return image_id


def own_error(mapper: Mapper, model: SirModel, folder: Path, file: str) -> PixelRange:
    """Return a one-shot model's error on the image that it learned from, with deviation 1 everywhere."""
    (error,) = mapper.map(model, mapper.features(folder, file), sigma=OWN_BLUR * mapper.sigma)
    return PixelRange(error, np.ones_like(error))


@torch.no_grad()
def score_images(mapper: Mapper, images: pd.DataFrame, folder: Path) -> MethodResult:
    """Score images one by one: no score depends on the other test images.

    The first repetition decides and makes the map; an average over repetitions would be no one-shot result any more.
    Where there are several, each has a column `repetition_<n>`.

    Args:
        mapper: fitted.
        images: image table.
        folder: of the image files.

    Raises:
        UserError: an image cannot be read, or there is none to score.
    """
    rows = rows_to_score(images)
    if rows.empty:
        raise UserError("the image table has only training images: there is nothing to score")
    table, kept = [], []
    for file in progress(rows["file"], total=len(rows), label="reconstructions"):
        maps = mapper.maps(folder, file)
        table.append(image_scores(maps, pooled_share=mapper.params.pooled_share))
        kept.append(shrink(maps[:1], size=mapper.cells)[0])
    scores, by_repetition = rows.drop(columns="file").reset_index(drop=True), np.stack(table)
    scores["score"] = by_repetition[:, 0]
    if len(mapper.models) > 1:
        repetitions = {f"repetition_{number}": column for number, column in enumerate(by_repetition.T)}
        scores = scores.assign(**repetitions)
    return MethodResult(scores, AnomalyMaps(tuple(rows["image_id"]), to_half(np.stack(kept))))


def pixel_range(maps: Iterable[Float[np.ndarray, "S S"]]) -> PixelRange:
    """Compute mean and population deviation of each pixel over the maps.

    A tenth of the deviation over all pixels comes on top: some dozens of images may happen to agree.
    """
    values = np.stack([one.astype(np.float32) for one in maps])
    deviation = values.std(axis=0, dtype=np.float64) + CELL_FLOOR * values.std(dtype=np.float64)
    return PixelRange(values.mean(axis=0, dtype=np.float64), np.maximum(deviation, np.finfo(np.float32).tiny))


def anomaly_maps(
    targets: Sequence[Float[Tensor, "B C h w"]],
    loops: Sequence[Sequence[Float[Tensor, "B C h w"]]],
    *,
    size: int,
    chosen: Literal["last", "mean"],
    fusion: Literal["sum", "product"],
    sigma: float,
) -> Float[np.ndarray, "B S S"]:
    """Compute 1 - cos at every cell of every stage, at the image's size, fused and blurred; at least 0.

    Deng and Li, CVPR 2022, section 3.3, for one loop. Corners are not aligned there, so that a cell stays where its
    pixels are.

    Args:
        targets: the teacher's features.
        loops: the reconstructions R[t][l].
        size: S, pixels a side.
        chosen: loops that count.
        fusion: of the stages' maps.
        sigma: of the blur, in pixels.
    """
    used = loops[-1:] if chosen == "last" else loops
    maps = torch.stack([fuse(targets, loop, size=size, fusion=fusion) for loop in used]).mean(dim=0)
    values = maps.cpu().double().numpy()
    return gaussian_filter(values, sigma=(0, sigma, sigma)) if sigma else values


def fuse(
    targets: Sequence[Tensor], loop: Sequence[Tensor], *, size: int, fusion: Literal["sum", "product"]
) -> Float[Tensor, "B S S"]:
    """Combine the stages' maps of one loop; cosines beyond 1 by rounding count as 1."""
    distances = [
        pixel_cosine_distance(stage, rebuilt).clamp_min(0) for stage, rebuilt in zip(targets, loop, strict=True)
    ]
    large = torch.stack([F.interpolate(one[:, None], (size, size), mode="bilinear")[:, 0] for one in distances])
    return large.sum(dim=0) if fusion == "sum" else large.prod(dim=0)


def image_scores(maps: Float[np.ndarray, "B S S"], *, pooled_share: float) -> Float[np.ndarray, " B"]:
    """Average the highest values of each map; one value at least."""
    flat = maps.reshape(len(maps), -1)
    count = max(1, round(pooled_share * flat.shape[1]))
    highest = np.partition(flat, flat.shape[1] - count, axis=1)[:, flat.shape[1] - count :]
    scores: Float[np.ndarray, " B"] = highest.mean(axis=1)
    return scores


def shrink(maps: Float[np.ndarray, "B S S"], *, size: int) -> Float[np.ndarray, "B s s"]:
    """Average squares of pixels; the blur has left nothing finer."""
    factor = maps.shape[-1] // size
    means: Float[np.ndarray, "B s s"] = maps.reshape(len(maps), size, factor, size, factor).mean(axis=(2, 4))
    return means
