"""RAM++, GroundingDINO and SAM with random weights, at their published sizes or tiny."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig

from stages.aecsad.pseudo_label.foundation.grounding_dino import build, quietly
from stages.aecsad.pseudo_label.foundation.ram_plus import DEFAULT_LOG_SCALE, RamPlus, RamPlusConfig
from stages.aecsad.pseudo_label.foundation.segmenter import PIXEL_MEAN, PIXEL_STD

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "-")
BERT_WORDS = 30522
SWIN_T = {"width": 96, "depths": (2, 2, 6, 2), "heads": (3, 6, 12, 24), "window": 7}  # of GroundingDINO
TINY_SWIN = {"width": 16, "depths": (1, 1, 1, 1), "heads": (1, 2, 4, 8), "window": 7}
DINO = {"queries": 900, "feed_forward": 2048, "encoder": 6, "decoder": 6}
TINY_DINO = {"queries": 10, "feed_forward": 64, "encoder": 1, "decoder": 2}
HIDDEN = 256  # channels of GroundingDINO's transformer
SAM_SIZE, GRID, PATCH, CHANNELS = "vit_h", 8, 16, 32  # published; the others are the tiny one's


def ram_config(*, small: bool) -> RamPlusConfig:
    """Return the published sizes, or tiny ones."""
    if not small:
        return RamPlusConfig()
    return RamPlusConfig(
        image_size=128, embed_dim=16, depths=(1, 1, 1, 1), heads=(1, 2, 4, 8), window=4, tags=24, descriptions=5,
        hidden=32, feed_forward=64,
    )  # fmt: skip


def random_ram(config: RamPlusConfig) -> RamPlus:
    """Build RAM++ in PyTorch's initialisation; its descriptions, which have none, are unit vectors."""
    network = RamPlus(config)
    with torch.no_grad():
        network.label_embed.copy_(nn.functional.normalize(torch.randn_like(network.label_embed), dim=1))
        network.reweight_scale.fill_(DEFAULT_LOG_SCALE)
    return network.eval().requires_grad_(False)


def write_text_folder(folder: Path, phrases: Sequence[str]) -> Path:
    """Write configuration and tokenizer of a BERT that knows the words of some phrases and single letters."""
    folder.mkdir(exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [word for phrase in phrases for word in phrase.split()]
    names = list(dict.fromkeys([*SPECIAL, *words, *letters, *("##" + letter for letter in letters)]))
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    description = {"do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def random_dino(text_folder: Path, *, small: bool) -> nn.Module:
    """Build GroundingDINO with Swin-T and BERT-base, or tiny ones, by the code that reads a checkpoint's shapes."""
    bert = BertConfig(vocab_size=BERT_WORDS)
    if small:
        bert = BertConfig(
            vocab_size=BERT_WORDS, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
        )
    bert.save_pretrained(text_folder)
    with quietly():
        network = build(Path("random"), shapes_of_dino(small=small), text_folder)
    return network.eval().requires_grad_(False)


def shapes_of_dino(*, small: bool) -> dict[str, Tensor]:
    """Return tensors without memory, under those names of a checkpoint from which the sizes are read."""
    swin, sizes = (TINY_SWIN, TINY_DINO) if small else (SWIN_T, DINO)
    table = (2 * swin["window"] - 1) ** 2  # type: ignore[operator]
    shapes: dict[str, tuple[int, ...]] = {
        "backbone.0.patch_embed.proj.weight": (swin["width"], 3, 4, 4),  # type: ignore[dict-item]
        "transformer.tgt_embed.weight": (sizes["queries"], HIDDEN),
    }
    for stage, (depth, heads) in enumerate(zip(swin["depths"], swin["heads"], strict=True)):  # type: ignore[call-overload]
        for block in range(depth):
            name = f"backbone.0.layers.{stage}.blocks.{block}.attn.relative_position_bias_table"
            shapes[name] = (table, heads)
    for layer in range(sizes["encoder"]):
        shapes[f"transformer.encoder.layers.{layer}.linear1.weight"] = (sizes["feed_forward"], HIDDEN)
    for layer in range(sizes["decoder"]):
        shapes[f"transformer.decoder.layers.{layer}.linear1.weight"] = (sizes["feed_forward"], HIDDEN)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def random_sam(*, small: bool) -> Sam:
    """Build SAM with ViT-H, or a tiny one."""
    network = tiny_sam() if small else sam_model_registry[SAM_SIZE](checkpoint=None)
    for name, value in network.named_parameters():
        if "pos" in name and value.dim() > 1:  # zero at first, so that half of the attention would do nothing
            nn.init.trunc_normal_(value, std=0.02)
    sam: Sam = network.eval().requires_grad_(False)
    return sam


def tiny_sam() -> Sam:
    """Build a SAM for images of 128 pixels."""
    encoder = ImageEncoderViT(
        depth=2, embed_dim=32, img_size=GRID * PATCH, mlp_ratio=2, norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=2, patch_size=PATCH, qkv_bias=True, use_rel_pos=True, global_attn_indexes=(1,), window_size=3,
        out_chans=CHANNELS,
    )  # fmt: skip
    prompts = PromptEncoder(
        embed_dim=CHANNELS, image_embedding_size=(GRID, GRID), input_image_size=(GRID * PATCH, GRID * PATCH),
        mask_in_chans=8,
    )  # fmt: skip
    decoder = MaskDecoder(
        num_multimask_outputs=3, transformer_dim=CHANNELS, iou_head_depth=2, iou_head_hidden_dim=32,
        transformer=TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=64, num_heads=8),
    )  # fmt: skip
    return Sam(encoder, prompts, decoder, list(PIXEL_MEAN), list(PIXEL_STD))
