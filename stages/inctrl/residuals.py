"""How a query differs from its prompts: patch by patch, and in words."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stages.core.clip.encoder import ImageFeatures

TEXT_SCALE = 100.0  # a constant of the published code, not CLIP's logit scale


def patch_residuals(query: Float[Tensor, "B L P W"], prompts: Float[Tensor, "B K L P W"]) -> Float[Tensor, "B L P"]:
    """Distance of each patch to the nearest patch of any prompt, wherever it lies, block by block.

        M_l(p) = min_n (1 - cos(q_p, n)) / 2,    in [0, 1]

    InCTRL, section 3.3 (multi-layer patch-level residuals).

    Args:
        query, prompts: tokens of patches, without the class token; each query has K prompts of its own.
    """
    pooled = F.normalize(prompts.transpose(1, 2).flatten(2, 3), dim=-1)
    cosines = F.normalize(query, dim=-1) @ pooled.transpose(-1, -2)
    return 0.5 * (1.0 - cosines.amax(dim=-1))


def text_score(
    embedding: Float[Tensor, "*B E"], normal: Float[Tensor, "*#B E"], anomalous: Float[Tensor, "*#B E"]
) -> Float[Tensor, "*B"]:
    """Probability of the anomalous text: softmax of 100 cos(q, normal) and 100 cos(q, anomalous).

    Args:
        normal, anomalous: unit text features.
    """
    unit = F.normalize(embedding, dim=-1)
    logits = TEXT_SCALE * torch.stack([(unit * normal).sum(-1), (unit * anomalous).sum(-1)], dim=-1)
    return logits.softmax(dim=-1)[..., 1]


def published_batching(query: ImageFeatures, prompts: ImageFeatures) -> tuple[ImageFeatures, ImageFeatures]:
    """The order of rows in the published code, which reshapes where it means to permute.

    With more than one query, an image is then compared with tokens of other images and other blocks. The published
    checkpoints were trained so; it is here to reproduce that, not to be used.

    Args:
        query: tokens [B, L, P, W], embedding [B, E].
        prompts: tokens [B, K, L, P, W], embedding [B, K, E].
    """
    blocks_first = query.tokens.transpose(0, 1)
    mixed_query = ImageFeatures(blocks_first.reshape(query.tokens.shape), query.embedding)
    prompt_major = prompts.tokens.transpose(0, 1).flatten(0, 1).transpose(0, 1)  # L, K B, P, W
    batch, shots, blocks, patches, width = prompts.tokens.shape
    pooled = prompt_major.reshape(batch, blocks, shots, patches, width).transpose(1, 2)
    return mixed_query, ImageFeatures(pooled, prompts.embedding.transpose(0, 1).reshape(prompts.embedding.shape))
