"""Score every image that is not for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16

from stages.core.device import mixed_precision, pick_device
from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.frozen_encoder.image_tensors import load_stack, to_float
from stages.core.running.console import progress
from stages.core.running.errors import UserError
from stages.core.sir.decoder import Features
from stages.core.sir.model import SirModel
from stages.sir.scores.maps import anomaly_maps, image_scores, shrink
from stages.sir.scores.params import MapsParams


@dataclass(frozen=True)
class Result:
    """Scores (image_id, split, score and, of several draws, one column each) and the first draw's maps."""

    scores: pd.DataFrame
    maps: Float16[np.ndarray, "N h w"]


@torch.no_grad()
def score_images(
    models: Sequence[SirModel], teacher: dict[str, Any], images: pd.DataFrame, folder: Path, params: MapsParams
) -> Result:
    """Score images one by one: no score depends on the other test images.

    The first draw decides and gives the map; an average over draws would be no one-shot result any more.

    Args:
        teacher: name, stages and image_size, as the models were trained with.

    Raises:
        UserError: an image cannot be read, or there is none to score.
    """
    rows = images.loc[images["split"] != "train", ["image_id", "split", "file"]].sort_values("image_id")
    if rows.empty:
        raise UserError("the image table has only training images: there is nothing to score")
    device, size = pick_device(), int(teacher["image_size"])
    encoder = FrozenEncoder(teacher["name"], stages=teacher["stages"]).to(device)
    models = [model.to(memory_format=torch.channels_last).to(device) for model in models]
    table, kept = [], []
    for file in progress(rows["file"], total=len(rows), label="reconstructions"):
        image = to_float(load_stack(folder, [file], size=size)).to(device)
        features = [stage.half().float() for stage in encoder(image)]  # as those that were trained on
        maps = np.concatenate([map_image(model, features, params, size=size) for model in models])
        table.append(image_scores(maps, pooled_share=params.pooled_share))
        kept.append(shrink(maps[:1], size=features[0].shape[-1])[0])
    scores = rows.drop(columns="file").reset_index(drop=True)
    by_draw = np.stack(table)
    scores["score"] = by_draw[:, 0]
    if len(models) > 1:
        for number in range(len(models)):
            scores[f"draw_{number}"] = by_draw[:, number]
    return Result(scores, np.stack(kept).astype(np.float16))


def map_image(model: SirModel, features: Features, params: MapsParams, *, size: int) -> Float[np.ndarray, "B S S"]:
    """The map of images by one model."""
    with mixed_precision(features[0].device):
        targets, loops = model(features)
    rebuilt = [[stage.float() for stage in loop] for loop in loops]
    return anomaly_maps(targets, rebuilt, size=size, chosen=params.loops, fusion=params.fusion, sigma=params.sigma)
