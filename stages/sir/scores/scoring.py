"""Score images by where and how much the reconstruction misses the teacher's features."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

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
from stages.sir.model.decoder import Features, pixel_cosine_distance
from stages.sir.model.model import SirModel


class MapsParams(Params):
    """Section `sir.maps` of a profile.

    Attributes:
        loops: the map of the "last" loop, or the "mean" over all.
        fusion: "sum" or "product" of the stages' maps.
        sigma: of the Gaussian blur, in pixels of the teacher's input; 0 for none.
        pooled_share: the image score is the mean of that share of the map's highest values; 0 is the maximum, 1 the
            mean.
    """

    loops: Literal["last", "mean"]
    fusion: Literal["sum", "product"]
    sigma: NonNegativeFloat
    pooled_share: Annotated[float, Field(ge=0, le=1)]


@torch.no_grad()
def score_images(
    models: Sequence[SirModel], teacher: dict[str, Any], images: pd.DataFrame, folder: Path, params: MapsParams
) -> MethodResult:
    """Score images one by one: no score depends on the other test images.

    The first repetition decides and makes the map; an average over repetitions would be no one-shot result any more.
    Where there are several, each has a column `repetition_<n>`.

    Args:
        models: one a repetition.
        teacher: name, stages and image_size, as the models were trained with.
        images: image table.
        folder: of the image files.
        params: how maps and scores are made.

    Raises:
        UserError: an image cannot be read, or there is none to score.
    """
    rows = rows_to_score(images)
    if rows.empty:
        raise UserError("the image table has only training images: there is nothing to score")
    device, size = pick_device(), int(teacher["image_size"])
    encoder = FrozenEncoder(teacher["name"], stages=teacher["stages"]).to(device)
    models = [model.to(memory_format=torch.channels_last).to(device) for model in models]
    table, kept = [], []
    for file in progress(rows["file"], total=len(rows), label="reconstructions"):
        image = to_float(load_stack(folder, [file], size=size)).to(device)
        features = [stage.half().float() for stage in encoder.recall(image)]  # as those that were trained on
        maps = np.concatenate([map_image(model, features, params, size=size) for model in models])
        table.append(image_scores(maps, pooled_share=params.pooled_share))
        kept.append(shrink(maps[:1], size=features[0].shape[-1])[0])
    scores, by_repetition = rows.drop(columns="file").reset_index(drop=True), np.stack(table)
    scores["score"] = by_repetition[:, 0]
    if len(models) > 1:
        scores = scores.assign(**{f"repetition_{number}": by_repetition[:, number] for number in range(len(models))})
    return MethodResult(scores, AnomalyMaps(tuple(rows["image_id"]), np.stack(kept).astype(np.float16)))


def map_image(model: SirModel, features: Features, params: MapsParams, *, size: int) -> Float[np.ndarray, "B S S"]:
    """Make the maps of images by one model; on a CPU in float32, as the graph of a bundle computes."""
    device = features[0].device
    with mixed_precision(device) if device.type == "cuda" else nullcontext():
        targets, loops = model(features)
    rebuilt = [[stage.float() for stage in loop] for loop in loops]
    return anomaly_maps(targets, rebuilt, size=size, chosen=params.loops, fusion=params.fusion, sigma=params.sigma)


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
