"""How far the patches of an image lie from those of normal images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Float16
from torch import Tensor

from stages.core.artifacts.anomaly_maps import to_half
from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.neighbours.distances import squared_distances
from stages.core.neighbours.patches import iterate_patches


@dataclass(frozen=True)
class Result:
    """Scores (image_id, split, score) and, row by row, the anomaly maps of the same images."""

    scores: pd.DataFrame
    maps: Float16[np.ndarray, "N h w"]


def score_images(
    encoder: FrozenEncoder,
    images: pd.DataFrame,
    folder: Path,
    bank: Float[Tensor, "k C"],
    *,
    size: int,
    strides: Sequence[int],
    neighbours: int,
    mixed: bool = False,
) -> Result:
    """Score every image that is not for training, one by one: no score depends on the other images.

    Args:
        neighbours: see `image_score`.
        mixed: see `iterate_patches`.
    """
    rows = images.loc[images["split"] != "train", ["image_id", "split", "file"]].sort_values("image_id")
    scores, maps = [], []
    for patches in iterate_patches(
        encoder, folder, rows["file"], size=size, strides=strides, label="distances", mixed=mixed
    ):
        distances = patch_distances(patches, bank)
        scores.append(image_score(patches, distances, bank, neighbours=neighbours))
        maps.append(to_half(distances.cpu().numpy()))
    return Result(rows.drop(columns="file").assign(score=scores), np.stack(maps))


def patch_distances(patches: Float[Tensor, "h w C"], bank: Float[Tensor, "k C"]) -> Float[Tensor, "h w"]:
    """Exact Euclidean distance of each patch to the nearest one of the bank: the anomaly map."""
    rows = squared_distances(patches.flatten(0, 1), bank)
    return rows.amin(dim=1).sqrt().view(patches.shape[:2])


def image_score(
    patches: Float[Tensor, "h w C"], distances: Float[Tensor, "h w"], bank: Float[Tensor, "k C"], *, neighbours: int
) -> float:
    """The largest patch distance s*, lowered where the bank itself is sparse.

        s = (1 - exp |p* - m*| / sum_{m in N_b(m*)} exp |p* - m|) s*

    Roth et al., CVPR 2022, equations 6 and 7: p* is the patch with the largest distance, m* its nearest patch in
    the bank, N_b(m*) the b patches of the bank nearest to m*, m* among them.

    Args:
        neighbours: b; 0 gives s* itself. At 1, or with a bank of one patch, the score would always be 0.

    Raises:
        ValueError: there are not two patches to compare for the reweighting.
    """
    worst = int(distances.argmax())
    largest = float(distances.flatten()[worst])
    if neighbours == 0:
        return largest
    if min(neighbours, len(bank)) < 2:
        raise ValueError(f"{neighbours} neighbours in a bank of {len(bank)} patches: reweighting needs two")
    patch = patches.flatten(0, 1)[[worst]]
    nearest = int(squared_distances(patch, bank)[0].argmin())
    around = squared_distances(bank[[nearest]], bank)[0]
    around[nearest] = -1.0  # first in the list even where a duplicate is as near
    support = around.topk(min(neighbours, len(bank)), largest=False).indices
    weights = squared_distances(patch, bank[support])[0].sqrt().softmax(dim=0)
    return (1.0 - float(weights[0])) * largest
