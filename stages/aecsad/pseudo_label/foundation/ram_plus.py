"""RAM++ (Recognize Anything Plus): which of some thousand tags an image shows. Inference only.

A Swin transformer makes tokens of the image; in the tagging head, each tag's query looks for its tag in them. Loading a
published checkpoint takes every tensor that inference needs, and reports any other.
"""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from stages.aecsad.pseudo_label.foundation.weights import count_blocks, load_strictly, read_state, shape_of
from stages.core.run.errors import UserError

MEAN = np.array((0.485, 0.456, 0.406), dtype=np.float32)  # of ImageNet
STD = np.array((0.229, 0.224, 0.225), dtype=np.float32)
EPS = 1e-12  # of the head's LayerNorms; BERT's value
EMBEDDING = 512  # of image tokens and tag descriptions, as in CLIP ViT-B
SWIN_EPS = 1e-5
HEAD_HEADS = 4  # of the tagging head
LOG = logging.getLogger(__name__)
BUFFER = re.compile(r"visual_encoder\..*\.(relative_position_index|attn_mask)")  # timm computes them
UNUSED = ("logit_scale",)  # of the training's contrastive loss
DEFAULT_LOG_SCALE = math.log(1 / 0.07)  # what the published class starts with where the file has no reweight_scale
DOWNSAMPLE = re.compile(r"(visual_encoder\.layers)\.(\d+)\.downsample\.")
SWIN, LAYER = "visual_encoder.layers", "tagging_head.encoder.layer"


def normalised(image: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "3 H W"]:
    """Return RGB in units of ImageNet's deviation around its mean, as RAM++ and GroundingDINO were trained."""
    pixels = (image.astype(np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class TaggingHead(nn.Module):
    """Cross-attention layers without self-attention, positions or embeddings, and one logit a tag.

    Huang et al., "Open-Set Image Tagging with Multi-Grained Text Supervision", 2023 (RAM++); the layer is that of
    Q2L/BERT with post-normalisation. Parameter names are the published ones, below `tagging_head.` and `fc.`.
    """

    def __init__(self, *, hidden: int, heads: int, feed_forward: int, layers: int, width: int) -> None:
        """Build the layers.

        Args:
            hidden: channels of the tag queries.
            heads: of the attention.
            feed_forward: channels of the feed-forward networks.
            layers: their number.
            width: channels of the image tokens.
        """
        super().__init__()
        self.layer = nn.ModuleList(
            TaggingLayer(hidden=hidden, heads=heads, feed_forward=feed_forward, width=width) for _ in range(layers)
        )

    def forward(
        self, queries: Float[Tensor, "B tags hidden"], tokens: Float[Tensor, "B n width"]
    ) -> Float[Tensor, "B tags hidden"]:
        """Return the queries, enriched by what the image shows."""
        for layer in self.layer:
            queries = layer(queries, tokens)
        return queries


class TaggingLayer(nn.Module):
    """Cross-attention and feed-forward network, each followed by LayerNorm(x + residual)."""

    def __init__(self, *, hidden: int, heads: int, feed_forward: int, width: int) -> None:
        """Build the layer; see `TaggingHead`."""
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
        """Return the queries, enriched by what the image shows."""
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
        """Split the channels among the heads."""
        split: Tensor = values.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return split


def residual_parts(inputs: int, outputs: int) -> dict[str, nn.Module]:
    """Return what follows an attention or a feed-forward network, by the published names."""
    return {"dense": nn.Linear(inputs, outputs), "LayerNorm": nn.LayerNorm(outputs, eps=EPS)}


def description_weights(
    image: Float[Tensor, "B D"], descriptions: Float[Tensor, "tags K D"], log_scale: Float[Tensor, ""]
) -> Float[Tensor, "B tags K"]:
    """Return how well each of a tag's descriptions fits the image.

        w = softmax_k( exp(log_scale) · c · d_k ),    c = image / ||image||₂

    In float32 whatever the surrounding precision: the products are cosines times about 14.
    """
    with torch.autocast(image.device.type, enabled=False):
        normalised = functional.normalize(image.float(), dim=-1)
        logits = log_scale.float().exp() * torch.einsum("bd,tkd->btk", normalised, descriptions.float())
        return logits.softmax(dim=-1)


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
        """Build the network with random weights."""
        super().__init__()
        self.config = config
        import timm  # takes seconds, and other proposers import this module for its types

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
        """Return logits; the sigmoid of one is the probability that the tag applies.

        Args:
            images: RGB, normalised by ImageNet's mean and deviation.
        """
        tokens = self.image_tokens(images)
        queries = self.tag_queries(tokens[:, 0])
        logits: Tensor = self.fc(self.tagging_head["encoder"](queries, tokens)).squeeze(2)
        return logits.float()

    def image_tokens(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B n+1 512"]:
        """Return the mean token, then those of the cells of stride 32, row by row, in the descriptions' space."""
        tokens = self.visual_encoder.forward_features(images).flatten(1, 2)
        return torch.as_tensor(self.image_proj(torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)))

    def tag_queries(self, image: Float[Tensor, "B 512"]) -> Float[Tensor, "B tags hidden"]:
        """Average each tag's descriptions by how well they fit the image; they are stored tag by tag."""
        descriptions = self.label_embed.view(self.config.tags, self.config.descriptions, EMBEDDING)
        weights = description_weights(image, descriptions, self.reweight_scale).to(descriptions.dtype)
        embedded = torch.einsum("btk,tkd->btd", weights, descriptions)
        return functional.relu(self.wordvec_proj(embedded))


def load_ram_plus(path: Path, *, tags: int) -> RamPlus:
    """Build RAM++ with the weights of a `.pth` file, in eval mode on the CPU; the file is mapped, not read at once.

    Args:
        tags: number of entries in the tag list.

    Raises:
        UserError: the file is not a checkpoint, holds more than tensors, or lacks or adds a tensor.
    """
    published = read_state(path)
    state, ignored = inference_state(published)
    if "reweight_scale" not in state:
        LOG.info("%s: no reweight_scale, taking the published class's initial value ln(1/0.07)", path.name)
        state["reweight_scale"] = torch.tensor(DEFAULT_LOG_SCALE)
    network = RamPlus(architecture(path, state, tags=tags))
    load_strictly(path, network, state)
    LOG.info("%s: %d tensors loaded, %d known ones ignored", path.name, len(state), len(ignored))
    return network


def inference_state(published: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors by the names of `RamPlus`, and the names that are known and not needed.

    timm puts a stage's patch merging at its start, the published Swin at the end of the stage before.
    """
    ignored = [name for name in published if BUFFER.fullmatch(name) or name in UNUSED]
    return {our_name(name): value for name, value in published.items() if name not in ignored}, ignored


def our_name(published: str) -> str:
    """Rename: `visual_encoder.layers.0.downsample.norm.bias` -> `visual_encoder.layers.1.downsample.norm.bias`."""
    name = re.sub(r"^vision_multi\.", "tagging_head.", published)  # older files
    return DOWNSAMPLE.sub(lambda match: f"{match[1]}.{int(match[2]) + 1}.downsample.", name)


def architecture(path: Path, state: Mapping[str, Tensor], *, tags: int) -> RamPlusConfig:
    """Infer the sizes from the tensors' shapes; the last stage of the published Swins is a single window (384 px).

    Raises:
        UserError: a tensor that is needed for them is missing, or `label_embed` is no multiple of the number of tags.
    """
    stages = range(count_blocks(state, f"{SWIN}."))
    tables = [shape_of(path, state, f"{SWIN}.{stage}.blocks.0.attn.relative_position_bias_table") for stage in stages]
    texts = shape_of(path, state, "label_embed")[0]
    if not tables or texts % tags:
        raise UserError(f"{path}: {texts} tag descriptions for a list of {tags} tags: fetch both files again")
    window = (math.isqrt(tables[0][0]) + 1) // 2
    return RamPlusConfig(
        image_size=4 * 2 ** (len(tables) - 1) * window,
        embed_dim=shape_of(path, state, "visual_encoder.patch_embed.proj.weight")[0],
        depths=tuple(count_blocks(state, f"{SWIN}.{stage}.blocks.") for stage in stages),
        heads=tuple(heads for _, heads in tables),
        window=window,
        tags=tags,
        descriptions=texts // tags,
        hidden=shape_of(path, state, "wordvec_proj.weight")[0],
        feed_forward=shape_of(path, state, f"{LAYER}.0.intermediate.dense.weight")[0],
        head_layers=count_blocks(state, f"{LAYER}."),
    )
