"""What the decoder trains on: labelled images with their pasted variants, and unlabelled ones."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from stages.aecsad.segmentation.features import StageFeatures, encode
from stages.aecsad.segmentation.fresh_images import FreshImages
from stages.core.artifacts.label_maps import LabelMaps
from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.pasting import paste_components


@dataclass(frozen=True)
class TrainingSet:
    """Features and pseudo-labels.

    Attributes:
        labelled, labels: row by row, the pasted variants included.
        unlabelled: None when every training image is labelled.
        fresh: the labelled images where they are augmented anew whenever they are drawn, else None.
    """

    labelled: StageFeatures
    labels: UInt8[Tensor, "N S S"]
    unlabelled: StageFeatures | None
    fresh: FreshImages | None = None


def build_training_set(
    encoder: FrozenEncoder,
    images: UInt8[Tensor, "N 3 S S"],
    pseudo_labels: LabelMaps,
    *,
    copies: int | Literal["fresh"],
    min_distance: float,
    min_pastes: int,
    max_pastes: int,
    csad_exact: bool,
    seed: int,
) -> TrainingSet:
    """Encode the labelled images, `copies` pasted variants of each, and the unlabelled images.

    The variants are drawn once and not in every epoch, so that the frozen encoder sees each of them once; with "fresh"
    there are none, but see `FreshImages`.

    Args:
        images: the training images in the order of `pseudo_labels`; at least one is labelled.
        csad_exact: warp labels as the published code does, see `paste_components`.
    """
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(pseudo_labels.labelled)
    pictures = [images[row].permute(1, 2, 0).numpy() for row in chosen]
    paste = partial(
        paste_components, min_distance=min_distance, min_pastes=min_pastes, max_pastes=max_pastes, csad_exact=csad_exact
    )
    pairs = [(picture, pseudo_labels.values[row]) for picture, row in zip(pictures, chosen, strict=True)]
    pasted = [paste(*pair, random=random) for _ in range(0 if copies == "fresh" else copies) for pair in pairs]
    stack = torch.from_numpy(np.stack([picture for picture, _ in pairs + pasted])).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.stack([label_map for _, label_map in pairs + pasted]))
    fresh = None
    if copies == "fresh":
        originals, original_labels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        fresh = FreshImages(encoder, originals, original_labels, paste, seed)
    rest = images[torch.from_numpy(np.flatnonzero(~pseudo_labels.labelled))]
    return TrainingSet(
        encode(encoder, stack, label="labelled images"),
        labels,
        encode(encoder, rest, label="unlabelled images") if len(rest) else None,
        fresh,
    )
