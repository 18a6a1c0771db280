"""Train on the auxiliary data and score the target, step by step."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from stages.clip.inctrl.data import choose_prompts, gather_auxiliary
from stages.clip.inctrl.network import InContextHeads
from stages.clip.inctrl.params import InctrlParams
from stages.clip.inctrl.scoring import score_images
from stages.clip.inctrl.texts import encode_texts
from stages.clip.inctrl.training import train_heads
from stages.clip.model.encoder import crop_and_normalise
from stages.clip.model.features import FileFeatures
from stages.clip.model.params import ObjectParams
from stages.core.encoder.device import seed_everything
from stages.core.io.result import MethodResult

TARGET = ""  # key of the target among the categories' texts; no category is called so


@dataclass(frozen=True)
class Run:
    """Outcome of the stage.

    Attributes:
        prompts: image_ids of each repetition.
        trained_on: the training images as "category/file".
        counts: of the training images, by category and kind.
    """

    heads: InContextHeads
    prompts: list[list[str]]
    result: MethodResult
    trained_on: list[str]
    counts: dict[str, dict[str, int]]


def fit_and_score(
    images: pd.DataFrame,
    folder: Path,
    pools: Path,
    auxiliary: Mapping[str, ObjectParams],
    target: ObjectParams,
    params: InctrlParams,
    *,
    category: str,
    seed: int,
) -> Run:
    """Train the heads on all auxiliary categories but the target, then score the target.

    Args:
        images: the target's image table.
        folder: of its image files.
        pools: labelled pools of the auxiliary categories.
        auxiliary: the categories to train on.
        target: the category to score.
        params: of the stage.
        category: the target's key.
        seed: of prompts, weights and episodes.

    Raises:
        UserError: weights are missing, there are too few images, or a text does not fit.
    """
    generator = seed_everything(seed)
    data = gather_auxiliary(pools, auxiliary, images, target=category, shots=params.shots)
    prompt_generator = torch.Generator().manual_seed(seed)
    prompts = choose_prompts(images, shots=params.shots, repetitions=params.repetitions, generator=prompt_generator)
    files = FileFeatures(params.clip, blocks=params.blocks, prepare=crop_and_normalise)
    names = {name: chosen.object for name, chosen in auxiliary.items()} | {TARGET: target.object}
    texts = encode_texts(files.encoder, names)
    heads = train_heads(files, data, texts, params, generator=generator)
    result = score_images(heads, files, images, folder, prompts=prompts, texts=texts[TARGET], window=target.window)
    counts: dict[str, dict[str, int]] = {}
    for (name, anomalous), count in sorted(Counter((image.category, image.is_anomalous) for image in data).items()):
        counts.setdefault(name, {})["anomalous" if anomalous else "normal"] = count
    return Run(heads, prompts, result, [f"{image.category}/{image.path.name}" for image in data], counts)


def describe_run(run: Run, params: InctrlParams, target: ObjectParams) -> dict[str, Any]:
    """Report what was trained on and compared with, for `metrics/choices/`."""
    return {
        "object": target.object,
        "shots": params.shots,
        "batching": params.batching,
        "auxiliary": run.counts,
        "prompts": {f"repetition_{number}": own for number, own in enumerate(run.prompts)},
    }
