"""For each draw of shots: train, then score the target."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float16

from stages.clip.madclip.data import build_training_set, draw_shots, load_shots
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.params import MadclipParams, TargetParams
from stages.clip.madclip.scoring import Scored, score_images
from stages.clip.madclip.training import train_network
from stages.clip.madclip.variants import VARIANTS, ImageScore
from stages.clip.model.encoder import squash
from stages.clip.model.features import FileFeatures
from stages.core.encoder.device import seed_everything

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What all draws gave.

    Attributes:
        network: of the first draw.
        draws: the shots' rows of the pool.
        reported: which of the two image scores is `score`.
        maps: of the first draw; None where a draw has no shot with a mask: then nothing teaches the network to segment.
    """

    network: MadClip
    draws: list[pd.DataFrame]
    reported: ImageScore
    scores: pd.DataFrame
    maps: Float16[np.ndarray, "N S S"] | None


def train_and_score(
    images: pd.DataFrame,
    folder: Path,
    pool: pd.DataFrame,
    pool_folder: Path,
    target: TargetParams,
    params: MadclipParams,
    *,
    category: str,
    seed: int,
) -> Run:
    """Train on shots of the pool and score every image of the target that is neither for training nor a shot.

    Args:
        images, folder: the target's image table and files.
        pool, pool_folder: the labelled pool to learn from.
        category: the target's key.

    Raises:
        UserError: weights are missing, there are too few images, or a text does not fit.
    """
    pool_window, generator = target.pool_window(category), seed_everything(seed)
    draws = draw_shots(pool, shots=params.shots, draws=params.draws, generator=torch.Generator().manual_seed(seed))
    files = FileFeatures(params.clip, blocks=params.blocks, prepare=squash)
    rows = rows_to_score(images, draws)
    networks, scored = [], []
    for number, draw in enumerate(draws):
        shots = load_shots(draw, pool_folder, size=files.encoder.image_size, window=pool_window)
        jitter = VARIANTS[params.variant].zoom_and_jitter
        data = build_training_set(shots, files.cached, zoom_and_jitter=jitter, generator=generator)
        networks.append(train_network(data, params, name=target.object, draw=number, generator=generator))
        scored.append(score_images(networks[-1], files, rows, folder, window=target.window))
    masked = all_masked(draws)
    reported = VARIANTS[params.variant].image_score if masked else "detection"
    table = tabulate(rows.drop(columns="file").reset_index(drop=True), scored, reported=reported)
    return Run(networks[0], draws, reported, table, scored[0].maps if masked else None)


def rows_to_score(images: pd.DataFrame, draws: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """(image_id, split, file) of all but training images and, by content, the shots of any draw.

    A shot's score is that of a training image, of which no threshold may be made. The shots of all draws are left out,
    so that every draw is scored on the same images.
    """
    rows = images.loc[images["split"] != "train", ["image_id", "split", "file"]].sort_values("image_id")
    shots = {PurePosixPath(file).stem for draw in draws for file in draw["file"]}
    learned = rows["file"].map(lambda file: PurePosixPath(file).stem).isin(shots)
    if learned.any():
        LOG.info(
            "%d of the target's labelled anomalies in validation are shots of some draw and get no score; %d are left",
            learned.sum(), (rows["split"][~learned] == "validation_anomalous").sum(),
        )  # fmt: skip
    return rows[~learned]


def all_masked(draws: Sequence[pd.DataFrame]) -> bool:
    """Whether each draw has a shot with a mask; a warning names those that have none where others have one.

    Without a mask a network learns no segmentation. As all draws must be scored alike, one such draw costs the maps.
    """
    bare = [f"draw_{number}" for number, draw in enumerate(draws) if not (draw["mask_files"].str.len() > 0).any()]
    if bare and len(bare) < len(draws):
        LOG.warning(
            "no anomalous shot of %s has a mask: all draws are scored by detection and there are no maps; more "
            "shots, or masks for all anomalies, would give both",
            ", ".join(bare),
        )
    return not bare


def tabulate(rows: pd.DataFrame, scored: Sequence[Scored], *, reported: ImageScore) -> pd.DataFrame:
    """(image_id, split, score, one column a draw, then both image scores of the first draw).

    The first draw decides: an average over draws would be no K-shot result any more.
    """
    table = rows.assign(score=scored[0].scores[reported])
    for number, one in enumerate(scored):
        table[f"draw_{number}"] = one.scores[reported]
    return table.assign(**scored[0].scores)


def describe_run(run: Run, params: MadclipParams, target: TargetParams) -> dict[str, Any]:
    """What was drawn, for `metrics/choices/`."""
    return {
        "object": target.object,
        "trained_on": target.trained_on,
        "variant": params.variant,
        "image_score": run.reported,
        "shots": params.shots,
        "drawn": {
            f"draw_{number}": {
                "normal": draw.loc[~draw["is_anomalous"], "image_id"].to_list(),
                "anomalous": draw.loc[draw["is_anomalous"], "image_id"].to_list(),
                "anomalous_without_mask": int((draw["is_anomalous"] & (draw["mask_files"].str.len() == 0)).sum()),
            }
            for number, draw in enumerate(run.draws)
        },
    }
