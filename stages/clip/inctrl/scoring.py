"""Score a category's images against a few of its normal ones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stages.clip.inctrl.data import encode_files
from stages.clip.inctrl.network import InContextHeads, InContextScores
from stages.clip.inctrl.texts import Texts, text_scores
from stages.clip.model.encoder import ImageFeatures
from stages.clip.model.features import FileFeatures
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, rows_to_score
from stages.core.run.console import progress
from stages.core.runtime.reading import Window


def score_images(
    heads: InContextHeads,
    files: FileFeatures,
    images: pd.DataFrame,
    folder: Path,
    *,
    prompts: Sequence[Sequence[str]],
    texts: Texts,
    window: Window | None,
) -> MethodResult:
    """Score every image that is not for training, one by one: no score depends on the other images.

    The first repetition decides and makes the map; an average over repetitions would be no few-shot result any more.
    The scores have a column `repetition_<n>` for each repetition, then the first one's parts.

    Args:
        heads: trained.
        files: features of image files.
        images: the target's image table.
        folder: of its image files.
        prompts: image_ids of the prompts of each repetition.
        texts: of the target's object.
        window: of the target's images.

    Raises:
        UserError: an image cannot be read.
    """
    by_id = images.set_index("image_id")["file"]
    encoded = [encode_files(files, [(folder / by_id[name], window) for name in own]) for own in prompts]
    rows = rows_to_score(images)
    table, maps = [], []
    for name in progress(rows["file"], total=len(rows), label="in-context residuals"):
        query = encode_files(files, [(folder / name, window)])
        text = text_scores(query.embedding, [texts])
        found = [score_one(heads, query, own, text) for own in encoded]
        table.append(columns(found, text))
        height, width = files.sizes[folder / name]
        maps.append(uncrop(found[0].residual_map, width=width, height=height))
    scores = rows.drop(columns="file").reset_index(drop=True).join(pd.DataFrame(table))
    values = np.stack([one.cpu().numpy().astype(np.float16) for one in maps])
    return MethodResult(scores, AnomalyMaps(tuple(rows["image_id"]), values))


@torch.no_grad()
def score_one(
    heads: InContextHeads, query: ImageFeatures, prompts: ImageFeatures, text: Float[Tensor, " 1"]
) -> InContextScores:
    """Score one query against one repetition's prompts."""
    scores: InContextScores = heads(query, ImageFeatures(prompts.tokens[None], prompts.embedding[None]), text)
    return scores


def columns(found: Sequence[InContextScores], text: Float[Tensor, " 1"]) -> dict[str, float]:
    """Return the columns of one image."""
    first = found[0]
    parts = {"text": text, "image_residual": first.image, "patch_residual": first.patch, "holistic": first.holistic}
    repetitions = {f"repetition_{number}": scores.final for number, scores in enumerate(found)}
    return {name: float(value[0]) for name, value in {"score": first.final, **repetitions, **parts}.items()}


def uncrop(residual_map: Float[Tensor, "1 P"], *, width: int, height: int) -> Float[Tensor, "g g"]:
    """Lay the map over the whole image: the network saw its central square only, the rest gets 0, the least residual.

    Args:
        residual_map: row by row.
        width: of the image in pixels; only its ratio to the height counts.
        height: of the image in pixels.
    """
    side = round(residual_map.shape[-1] ** 0.5)
    square = residual_map.view(1, 1, side, side)
    if width == height:
        return square[0, 0]
    shorter = min(width, height)
    stretch = torch.tensor([[[width / shorter, 0.0, 0.0], [0.0, height / shorter, 0.0]]], device=square.device)
    places = F.affine_grid(stretch, [1, 1, side, side], align_corners=False)
    sampled: Tensor = F.grid_sample(square, places, padding_mode="zeros", align_corners=False)
    return sampled[0, 0]
