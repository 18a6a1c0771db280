"""The tagging head of RAM++: tag queries look for themselves in the image's tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-12  # of the head's LayerNorms; BERT's value


class TaggingHead(nn.Module):
    """Cross-attention layers without self-attention, positions or embeddings, and one logit a tag.

    Huang et al., "Open-Set Image Tagging with Multi-Grained Text Supervision", 2023 (RAM++); the layer is that of
    Q2L/BERT with post-normalisation. Parameter names are the published ones, below `tagging_head.` and `fc.`.
    """

    def __init__(self, *, hidden: int, heads: int, feed_forward: int, layers: int, width: int) -> None:
        """
        Args:
            hidden: channels of the tag queries.
            width: channels of the image tokens.
        """
        super().__init__()
        self.layer = nn.ModuleList(
            TaggingLayer(hidden=hidden, heads=heads, feed_forward=feed_forward, width=width) for _ in range(layers)
        )

    def forward(
        self, queries: Float[Tensor, "B tags hidden"], tokens: Float[Tensor, "B n width"]
    ) -> Float[Tensor, "B tags hidden"]:
        """Queries enriched by what the image shows."""
        for layer in self.layer:
            queries = layer(queries, tokens)
        return queries


class TaggingLayer(nn.Module):
    """Cross-attention and feed-forward network, each followed by LayerNorm(x + residual)."""

    def __init__(self, *, hidden: int, heads: int, feed_forward: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        attention = {
            "query": nn.Linear(hidden, hidden),
            "key": nn.Linear(width, hidden),
            "value": nn.Linear(width, hidden),
        }
        self.crossattention = nn.ModuleDict(
            {"self": nn.ModuleDict(attention), "output": nn.ModuleDict(residual_parts(hidden, hidden))}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, feed_forward)})
        self.output = nn.ModuleDict(residual_parts(feed_forward, hidden))

    def forward(
        self, queries: Float[Tensor, "B tags hidden"], tokens: Float[Tensor, "B n width"]
    ) -> Float[Tensor, "B tags hidden"]:
        projections, output = self.crossattention["self"], self.crossattention["output"]
        attended = functional.scaled_dot_product_attention(
            self.split(projections["query"](queries)),  # type: ignore[index]
            self.split(projections["key"](tokens)),  # type: ignore[index]
            self.split(projections["value"](tokens)),  # type: ignore[index]
        )
        attended = output["dense"](attended.transpose(1, 2).flatten(2))  # type: ignore[index]
        queries = output["LayerNorm"](attended + queries)  # type: ignore[index]
        hidden = functional.gelu(self.intermediate["dense"](queries))
        enriched: Tensor = self.output["LayerNorm"](self.output["dense"](hidden) + queries)
        return enriched

    def split(self, values: Float[Tensor, "B n C"]) -> Float[Tensor, "B heads n C/heads"]:
        split: Tensor = values.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return split


def residual_parts(inputs: int, outputs: int) -> dict[str, nn.Module]:
    return {"dense": nn.Linear(inputs, outputs), "LayerNorm": nn.LayerNorm(outputs, eps=EPS)}


def description_weights(
    image: Float[Tensor, "B D"], descriptions: Float[Tensor, "tags K D"], log_scale: Float[Tensor, ""]
) -> Float[Tensor, "B tags K"]:
    """How well each of a tag's descriptions fits the image.

        w = softmax_k( exp(log_scale) · c · d_k ),    c = image / ||image||₂

    In float32 whatever the surrounding precision: the products are cosines times about 14.
    """
    with torch.autocast(image.device.type, enabled=False):
        normalised = functional.normalize(image.float(), dim=-1)
        logits = log_scale.float().exp() * torch.einsum("bd,tkd->btk", normalised, descriptions.float())
        return logits.softmax(dim=-1)
