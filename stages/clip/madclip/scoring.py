"""Score a category's images with a trained network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from stages.clip.madclip.losses import abnormal_maps, detection_scores, over_blocks
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.variants import VARIANTS, ImageScore
from stages.clip.model.features import FileFeatures, stack_features
from stages.core.images.reading import Window
from stages.core.run.console import progress


@dataclass(frozen=True)
class Scored:
    """Of N images, in the order of the rows: both image scores and the maps."""

    scores: dict[ImageScore, list[float]]
    maps: Float16[np.ndarray, "N S S"]


@torch.no_grad()
def score_images(
    network: MadClip, files: FileFeatures, rows: pd.DataFrame, folder: Path, *, window: Window | None
) -> Scored:
    """Score images one by one: no score depends on the other images. The texts are encoded once.

    Args:
        rows: with the column `file`.

    Raises:
        UserError: an image cannot be read.
    """
    encoder, mean = files.encoder, VARIANTS[network.arguments["variant"]].mean_over_blocks
    texts = network.texts(encoder)
    scores: dict[ImageScore, list[float]] = {"largest_cell": [], "detection": []}
    maps: list[Float[Tensor, "1 S S"]] = []
    for name in progress(rows["file"], total=len(rows), label="scores"):
        found = network.adapters(stack_features([files(folder / name, window)], encoder.device).tokens, texts)
        anomaly_map = over_blocks(abnormal_maps(found.segmentation, size=encoder.image_size)[:, :, 1], mean=mean)
        scores["largest_cell"].append(float(anomaly_map.max()))
        scores["detection"].append(float(over_blocks(detection_scores(found.detection), mean=mean)[0]))
        maps.append(anomaly_map.cpu())
    return Scored(scores, torch.cat(maps).numpy().astype(np.float16))
