"""Score a category's images with the networks of all repetitions."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from stages.clip.madclip.losses import abnormal_maps, detection_scores, over_blocks
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.params import VARIANTS, ImageScore
from stages.clip.model.features import FileFeatures, stack_features
from stages.clip.model.labelled_pool import have_content_of
from stages.core.io.result import rows_to_score
from stages.core.run.console import progress
from stages.core.runtime.reading import Window

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scored:
    """Of N images, in the order of the rows: both image scores and the maps."""

    scores: dict[ImageScore, list[float]]
    maps: Float16[np.ndarray, "N S S"]


def rows_without_shots(images: pd.DataFrame, shots: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows to score but, by content, the shots of any repetition.

    A shot's score is that of a training image, of which no threshold may be made. The shots of all repetitions are
    excluded, so that every repetition is scored on the same images.
    """
    rows = rows_to_score(images)
    learned = have_content_of(rows["file"], pd.concat(shots)["file"])
    if learned.any():
        LOG.info(
            "%d of the target's labelled anomalies in validation are shots of some repetition and get no score; "
            "%d are left",
            learned.sum(), (rows["split"][~learned] == "validation_anomalous").sum(),
        )  # fmt: skip
    return rows[~learned]


@torch.no_grad()
def score_images(
    network: MadClip, files: FileFeatures, rows: pd.DataFrame, folder: Path, *, window: Window | None
) -> Scored:
    """Score images one by one: no score depends on the other images. The texts are encoded once.

    Args:
        network: trained.
        files: features of image files.
        rows: with the column `file`.
        folder: of the image files.
        window: of the target's images.

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


def tabulate(rows: pd.DataFrame, scored: Sequence[Scored], *, reported: ImageScore) -> pd.DataFrame:
    """Make the table: image_id, split, score, one column a repetition, then both image scores of the first one.

    The first repetition decides: an average over repetitions would be no K-shot result any more.
    """
    table = rows[["image_id", "split"]].reset_index(drop=True).assign(score=scored[0].scores[reported])
    for number, one in enumerate(scored):
        table[f"repetition_{number}"] = one.scores[reported]
    return table.assign(**scored[0].scores)
