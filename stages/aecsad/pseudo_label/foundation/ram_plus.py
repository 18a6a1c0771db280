"""RAM++ (Recognize Anything Plus): which of some thousand tags an image shows. Inference only."""

from dataclasses import dataclass
from functools import partial

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from stages.aecsad.pseudo_label.foundation.tagging_head import TaggingHead, description_weights

EMBEDDING = 512  # of image tokens and tag descriptions, as in CLIP ViT-B
SWIN_EPS = 1e-5
HEAD_HEADS = 4  # of the tagging head


@dataclass(frozen=True)
class RamPlusConfig:
    """Sizes; those of the published network by default.

    Attributes:
        image_size: side in pixels.
        descriptions: number of texts that describe a tag.
        hidden, feed_forward, head_layers: of the tagging head.
    """

    image_size: int = 384
    embed_dim: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (6, 12, 24, 48)
    window: int = 12
    tags: int = 4585
    descriptions: int = 51
    hidden: int = 768
    feed_forward: int = 3072
    head_layers: int = 2


class RamPlus(nn.Module):
    """Swin transformer, descriptions weighted by the image, tagging head.

    Huang et al., "Open-Set Image Tagging with Multi-Grained Text Supervision", 2023; checked against numbers from
    the authors' code (tests/golden).
    """

    def __init__(self, config: RamPlusConfig) -> None:
        super().__init__()
        self.config = config
        self.visual_encoder = timm.models.swin_transformer.SwinTransformer(
            img_size=config.image_size,
            patch_size=4,
            embed_dim=config.embed_dim,
            depths=config.depths,
            num_heads=config.heads,
            window_size=config.window,
            num_classes=0,
            norm_layer=partial(nn.LayerNorm, eps=SWIN_EPS),  # type: ignore[arg-type]  # timm's own models do so
        )
        self.image_proj = nn.Linear(self.visual_encoder.num_features, EMBEDDING)
        self.label_embed = nn.Parameter(torch.empty(config.tags * config.descriptions, EMBEDDING))
        self.reweight_scale = nn.Parameter(torch.empty(()))
        self.wordvec_proj = nn.Linear(EMBEDDING, config.hidden)
        self.tagging_head = nn.ModuleDict(
            {
                "encoder": TaggingHead(
                    hidden=config.hidden,
                    heads=HEAD_HEADS,
                    feed_forward=config.feed_forward,
                    layers=config.head_layers,
                    width=EMBEDDING,
                )
            }
        )
        self.fc = nn.Linear(config.hidden, 1)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B tags"]:
        """Logits; the sigmoid of one is the probability that the tag applies.

        Args:
            images: RGB, normalised by ImageNet's mean and deviation.
        """
        tokens = self.image_tokens(images)
        queries = self.tag_queries(tokens[:, 0])
        logits: Tensor = self.fc(self.tagging_head["encoder"](queries, tokens)).squeeze(2)
        return logits.float()

    def image_tokens(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B n+1 512"]:
        """The mean token, then one a cell of stride 32, row by row; projected to the descriptions' space."""
        tokens = self.visual_encoder.forward_features(images).flatten(1, 2)
        return torch.as_tensor(self.image_proj(torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)))

    def tag_queries(self, image: Float[Tensor, "B 512"]) -> Float[Tensor, "B tags hidden"]:
        """Each tag's descriptions, averaged with weights that tell how well they fit the image; stored tag by tag."""
        descriptions = self.label_embed.view(self.config.tags, self.config.descriptions, EMBEDDING)
        weights = description_weights(image, descriptions, self.reweight_scale).to(descriptions.dtype)
        embedded = torch.einsum("btk,tkd->btd", weights, descriptions)
        return functional.relu(self.wordvec_proj(embedded))
