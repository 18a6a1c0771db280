"""The trained part of InCTRL: how a query differs from its prompts, an adapter, two small heads, and their loss.

CLIP itself stays frozen. Zhu and Pang, "Toward Generalist Anomaly Detection via In-context Residual Learning with
Few-shot Sample Prompts", CVPR 2024.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stages.clip.model.encoder import ImageFeatures

TEXT_SCALE = 100.0  # a constant of the published code, not CLIP's logit scale
REDUCTION = 4  # the adapter's bottleneck has a quarter of the embedding's dimensions
GAMMA = 2.0  # of the focal loss


def patch_residuals(query: Float[Tensor, "B L P W"], prompts: Float[Tensor, "B K L P W"]) -> Float[Tensor, "B L P"]:
    """Measure the distance of each patch to the nearest patch of any prompt, wherever it is, block by block.

        M_l(p) = min_n (1 - cos(q_p, n)) / 2,    in [0, 1]

    InCTRL, section 3.3 (multi-layer patch-level residuals).

    Args:
        query: tokens of patches, without the class token.
        prompts: the same; each query has K prompts of its own.
    """
    pooled = F.normalize(prompts.transpose(1, 2).flatten(2, 3), dim=-1)
    cosines = F.normalize(query, dim=-1) @ pooled.transpose(-1, -2)
    return 0.5 * (1.0 - cosines.amax(dim=-1))


def text_score(
    embedding: Float[Tensor, "*B E"], normal: Float[Tensor, "*#B E"], anomalous: Float[Tensor, "*#B E"]
) -> Float[Tensor, "*B"]:
    """Compute the probability of the anomalous text: softmax of 100 cos(q, normal) and 100 cos(q, anomalous).

    Args:
        embedding: of the query.
        normal: a unit text feature.
        anomalous: a unit text feature.
    """
    unit = F.normalize(embedding, dim=-1)
    logits = TEXT_SCALE * torch.stack([(unit * normal).sum(-1), (unit * anomalous).sum(-1)], dim=-1)
    return logits.softmax(dim=-1)[..., 1]


def published_batching(query: ImageFeatures, prompts: ImageFeatures) -> tuple[ImageFeatures, ImageFeatures]:
    """Put rows in the order of the published code, which reshapes where it means to permute.

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


@dataclass(frozen=True)
class InContextScores:
    """InCTRL's scores of B queries; all but the map are in [0, 1].

    Attributes:
        final: (holistic + patch) / 2, the score.
        image: of the image-level residual.
        holistic: of the map to which text and image score were added.
        patch: the largest patch residual.
        residual_map: mean of the patch residuals over the blocks, row by row.
    """

    final: Float[Tensor, " B"]
    image: Float[Tensor, " B"]
    holistic: Float[Tensor, " B"]
    patch: Float[Tensor, " B"]
    residual_map: Float[Tensor, "B P"]


class ImageAdapter(nn.Module):
    """ReLU(W2 ReLU(W1 x)) without biases."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(dim, dim // REDUCTION, bias=False),
            nn.ReLU(),
            nn.Linear(dim // REDUCTION, dim, bias=False),
            nn.ReLU(),
        )

    def forward(self, embedding: Float[Tensor, "*B E"]) -> Float[Tensor, "*B E"]:
        adapted: Tensor = self.fc(embedding)
        return adapted


class ScoreHead(nn.Module):
    """From d numbers to one: two hidden layers, each with ReLU and then BatchNorm. The sigmoid is not part of it.

    `bn1` is also in the published code, and in no forward pass there; it is kept so that the tensors are the same ones.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection1 = nn.Linear(dim, 128)
        self.projection2 = nn.Linear(128, 64)
        self.projection3 = nn.Linear(64, 1)
        self.bn1 = nn.BatchNorm1d(dim).requires_grad_(False)
        self.bn2 = nn.BatchNorm1d(128)
        self.bn3 = nn.BatchNorm1d(64)

    def forward(self, values: Float[Tensor, "B d"]) -> Float[Tensor, " B"]:
        hidden = self.bn2(torch.relu(self.projection1(values)))
        logits: Tensor = self.projection3(self.bn3(torch.relu(self.projection2(hidden))))
        return logits[:, 0]


class InContextHeads(nn.Module):
    """Adapter and heads; the names of the tensors are those of the published code.

    Attributes:
        arguments: rebuild the module; plain JSON values.
    """

    def __init__(self, *, embed_dim: int, patches: int) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"embed_dim": embed_dim, "patches": patches}
        self.adapter = ImageAdapter(embed_dim)
        self.diff_head = ScoreHead(patches)
        self.diff_head_ref = ScoreHead(embed_dim)

    def image_residual(self, query: Float[Tensor, "B E"], prompts: Float[Tensor, "B K E"]) -> Float[Tensor, "B E"]:
        """Subtract the adapted query from the mean adapted prompt (InCTRL, section 3.4; the code's sign)."""
        return torch.sub(self.adapter(prompts).mean(dim=1), self.adapter(query))

    def forward(
        self, query: ImageFeatures, prompts: ImageFeatures, text: Float[Tensor, " B"], *, as_published: bool = False
    ) -> InContextScores:
        """Score queries, each against its own K prompts.

            H = M + s_text + s_image,    final = (head(H) + max_p M(p)) / 2

        Args:
            query: tokens [B, L, P, W] of patches and embedding [B, E].
            prompts: tokens [B, K, L, P, W] and embedding [B, K, E].
            text: s_text, from `text_score`.
            as_published: the rows in the order of `published_batching`.
        """
        if as_published:
            query, prompts = published_batching(query, prompts)
        residual_map = patch_residuals(query.tokens, prompts.tokens).mean(dim=1)
        image = self.diff_head_ref(self.image_residual(query.embedding, prompts.embedding)).sigmoid()
        holistic = self.diff_head(residual_map + (text + image)[:, None]).sigmoid()
        patch = residual_map.amax(dim=1)
        return InContextScores((holistic + patch) / 2, image, holistic, patch, residual_map)


def focal_loss(values: Float[Tensor, " B"], labels: Float[Tensor, " B"], *, are_logits: bool) -> Float[Tensor, ""]:
    """Average (1 - p_y)^2 times the cross entropy, p_y being the probability of the true label.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, with alpha 1 and gamma 2.

    Args:
        values: scores.
        labels: 0 normal, 1 anomalous.
        are_logits: whether a sigmoid is applied first.
    """
    if are_logits:
        entropy = F.binary_cross_entropy_with_logits(values, labels, reduction="none")
        probability = values.sigmoid()
    else:
        entropy = F.binary_cross_entropy(values, labels, reduction="none")
        probability = values
    missed = labels * (1.0 - probability) + (1.0 - labels) * probability
    return (missed**GAMMA * entropy).mean()


def loss_terms(
    scores: InContextScores, labels: Float[Tensor, " B"], *, double_sigmoid: bool
) -> dict[str, Float[Tensor, ""]]:
    """Compute the two terms by name.

    Args:
        scores: of a batch.
        labels: 0 normal, 1 anomalous.
        double_sigmoid: the published code: scores that went through a sigmoid are taken for logits, so that the
            loss sees probabilities from 0.5 to 0.73 only.
    """
    return {
        "final": focal_loss(scores.final, labels, are_logits=double_sigmoid),
        "image": focal_loss(scores.image, labels, are_logits=double_sigmoid),
    }
