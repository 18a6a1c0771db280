"""Images and texts as InCTRL's heads take them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from stages.core.clip.encoder import ClipEncoder, ImageFeatures
from stages.core.clip.file_features import FileFeatures, stack_features
from stages.core.image_files.windows import Window
from stages.inctrl.residuals import text_score
from stages.inctrl.texts import describe

Texts = tuple[Float[Tensor, " E"], Float[Tensor, " E"]]


def encode_files(files: FileFeatures, chosen: Sequence[tuple[Path, Window | None]]) -> ImageFeatures:
    """Patches [N, L, P, W] without the class token, and embeddings [N, E].

    Raises:
        UserError: a file cannot be read.
    """
    features = stack_features([files(path, window) for path, window in chosen], files.encoder.device)
    return ImageFeatures(features.tokens[:, :, 1:], features.embedding)


def encode_texts(encoder: ClipEncoder, names: Mapping[str, str]) -> dict[str, Texts]:
    """(normal, anomalous) text feature of each category, computed once.

    Args:
        names: the object of each category, in words.

    Raises:
        UserError: a name has no token or is too long.
    """
    return {
        category: (encoder.ensemble(normal), encoder.ensemble(anomalous))
        for category, (normal, anomalous) in ((category, describe(name)) for category, name in names.items())
    }


def text_scores(embedding: Float[Tensor, "B E"], texts: Sequence[Texts]) -> Float[Tensor, " B"]:
    """The text score of each query with its own category's texts."""
    normal, anomalous = (torch.stack(column) for column in zip(*texts, strict=True))
    return text_score(embedding, normal, anomalous)
