"""Score a category's images against a few of its normal ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16
from torch import Tensor

from stages.clip.inctrl.network import InContextHeads, InContextScores
from stages.clip.inctrl.texts import Texts, encode_files, text_scores
from stages.clip.model.encoder import ImageFeatures
from stages.clip.model.features import FileFeatures
from stages.core.images.reading import Window
from stages.core.run.console import progress


@dataclass(frozen=True)
class Result:
    """Scores (image_id, split, score, one column a draw, then the first draw's parts) and the first draw's maps."""

    scores: pd.DataFrame
    maps: Float16[np.ndarray, "N g g"]


def score_images(
    heads: InContextHeads,
    files: FileFeatures,
    images: pd.DataFrame,
    folder: Path,
    *,
    draws: Sequence[Sequence[str]],
    texts: Texts,
    window: Window | None,
) -> Result:
    """Score every image that is not for training, one by one: no score depends on the other images.

    The first draw decides and gives the map; an average over draws would be no few-shot result any more.

    Args:
        draws: image_ids of the prompts.

    Raises:
        UserError: an image cannot be read.
    """
    by_id = images.set_index("image_id")["file"]
    prompts = [encode_files(files, [(folder / by_id[name], window) for name in draw]) for draw in draws]
    rows = images.loc[images["split"] != "train", ["image_id", "split", "file"]].sort_values("image_id")
    table, maps = [], []
    for name in progress(rows["file"], total=len(rows), label="in-context residuals"):
        query = encode_files(files, [(folder / name, window)])
        text = text_scores(query.embedding, [texts])
        found = [score_one(heads, query, own, text) for own in prompts]
        table.append(columns(found, text))
        height, width = files.sizes[folder / name]
        maps.append(uncrop(found[0].residual_map, width=width, height=height))
    scores = rows.drop(columns="file").reset_index(drop=True).join(pd.DataFrame(table))
    return Result(scores, np.stack([one.cpu().numpy().astype(np.float16) for one in maps]))


@torch.no_grad()
def score_one(
    heads: InContextHeads, query: ImageFeatures, prompts: ImageFeatures, text: Float[Tensor, " 1"]
) -> InContextScores:
    """One query against one draw of prompts."""
    scores: InContextScores = heads(query, ImageFeatures(prompts.tokens[None], prompts.embedding[None]), text)
    return scores


def columns(found: Sequence[InContextScores], text: Float[Tensor, " 1"]) -> dict[str, float]:
    """The columns of one image."""
    first = found[0]
    parts = {"text": text, "image_residual": first.image, "patch_residual": first.patch, "holistic": first.holistic}
    draws = {f"draw_{number}": scores.final for number, scores in enumerate(found)}
    return {name: float(value[0]) for name, value in {"score": first.final, **draws, **parts}.items()}


def uncrop(residual_map: Float[Tensor, "1 P"], *, width: int, height: int) -> Float[Tensor, "g g"]:
    """The map over the whole image: the network saw its central square only, the rest gets 0, the smallest residual.

    Args:
        width, height: of the image in pixels; only their ratio counts.
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
