"""The trained part of InCTRL: an adapter of image embeddings and two small heads; CLIP itself stays frozen."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.clip.encoder import ImageFeatures
from stages.inctrl.residuals import patch_residuals, published_batching

REDUCTION = 4  # the adapter's bottleneck has a quarter of the embedding's dimensions


@dataclass(frozen=True)
class InContextScores:
    """What InCTRL says of B queries; all but the map in [0, 1].

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

    `bn1` is in the published code, too, and in no forward pass there; it is kept so that the tensors are the same ones.
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
        """Mean adapted prompt minus adapted query (InCTRL, section 3.4; the code's sign)."""
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
