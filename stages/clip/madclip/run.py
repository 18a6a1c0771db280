"""Train on the shots of each repetition, then score the target."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from stages.clip.madclip.data import build_training_set, choose_shots, load_shots
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.params import VARIANTS, ImageScore, MadclipParams, TargetParams
from stages.clip.madclip.scoring import rows_without_shots, score_images, tabulate
from stages.clip.madclip.training import train_network
from stages.clip.model.encoder import squash
from stages.clip.model.features import FileFeatures
from stages.clip.model.labelled_pool import read_labelled_pool
from stages.core.encoder.device import seed_everything
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Outcome of the stage.

    Attributes:
        network: of the first repetition.
        shots: rows of the pool, for each repetition.
        reported: which of the two image scores is `score`.
        result: with the first repetition's maps; without maps where a repetition has no shot with a mask: then nothing
            teaches the network to segment.
    """

    network: MadClip
    shots: list[pd.DataFrame]
    reported: ImageScore
    result: MethodResult


def train_and_score(
    images: pd.DataFrame,
    folder: Path,
    pool: Path,
    target: TargetParams,
    params: MadclipParams,
    *,
    category: str,
    seed: int,
) -> Run:
    """Train on shots of the pool and score every image of the target that is neither for training nor a shot.

    Args:
        images: the target's image table.
        folder: of its image files.
        pool: the labelled pool to learn from.
        target: the category to score.
        params: of the stage.
        category: the target's key.
        seed: of shots, weights and batches.

    Raises:
        UserError: weights are missing, there are too few images, or a text does not fit.
    """
    pool_window, generator, variant = target.pool_window(category), seed_everything(seed), VARIANTS[params.variant]
    shots = choose_shots(
        read_labelled_pool(pool), shots=params.shots, repetitions=params.repetitions,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    files = FileFeatures(params.clip, blocks=params.blocks, prepare=squash)
    rows = rows_without_shots(images, shots)
    networks, scored = [], []
    for number, own in enumerate(shots):
        loaded = load_shots(own, pool, size=files.encoder.image_size, window=pool_window)
        data = build_training_set(loaded, files.cached, zoom_and_jitter=variant.zoom_and_jitter, generator=generator)
        networks.append(train_network(data, params, name=target.object, repetition=number, generator=generator))
        scored.append(score_images(networks[-1], files, rows, folder, window=target.window))
    masked = all_masked(shots)
    reported = variant.image_score if masked else "detection"
    maps = AnomalyMaps(tuple(rows["image_id"]), scored[0].maps) if masked else None
    return Run(networks[0], shots, reported, MethodResult(tabulate(rows, scored, reported=reported), maps))


def all_masked(shots: Sequence[pd.DataFrame]) -> bool:
    """Report whether each repetition has a shot with a mask; a warning names those without where others have one.

    Without a mask a network learns no segmentation. As all repetitions must be scored alike, one such costs the maps.
    """
    bare = [f"repetition_{number}" for number, own in enumerate(shots) if not (own["mask_files"].str.len() > 0).any()]
    if bare and len(bare) < len(shots):
        LOG.warning(
            "no anomalous shot of %s has a mask: all repetitions are scored by detection and there are no maps; more "
            "shots, or masks for all anomalies, would provide both",
            ", ".join(bare),
        )
    return not bare


def describe_run(run: Run, params: MadclipParams, target: TargetParams) -> dict[str, Any]:
    """Report what was learned from, for `metrics/choices/`."""
    return {
        "object": target.object,
        "trained_on": target.trained_on,
        "variant": params.variant,
        "image_score": run.reported,
        "shots": params.shots,
        "drawn": {
            f"repetition_{number}": {
                "normal": own.loc[~own["is_anomalous"], "image_id"].to_list(),
                "anomalous": own.loc[own["is_anomalous"], "image_id"].to_list(),
                "anomalous_without_mask": int((own["is_anomalous"] & (own["mask_files"].str.len() == 0)).sum()),
            }
            for number, own in enumerate(run.shots)
        },
    }
