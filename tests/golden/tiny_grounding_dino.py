"""A GroundingDINO with tiny, hashed weights, saved as the published checkpoints are.

Also used, with a transformers 4 and groundingdino-py as published, to make `grounding_dino_tiny.npz`.
"""

import json
import math
from pathlib import Path
from typing import Any

import groundingdino
import torch
from groundingdino.models import build_model
from groundingdino.models.GroundingDINO.backbone import backbone
from groundingdino.models.GroundingDINO.backbone.swin_transformer import SwinTransformer
from groundingdino.util.slconfig import SLConfig
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import BertConfig

from stages.aecsad.pseudo_label.foundation.grounding_dino import quietly, text_encoder_from_config
from tests.golden.hashed import hval

WORDS = ("screw", "pin", "bag", "lock", "zip", "disc", "square")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "-")


def write_text_folder(folder: Path, words: tuple[str, ...] = WORDS) -> Path:
    """Configuration and tokenizer of a tiny BERT: whole words, else single letters."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = list(dict.fromkeys([*SPECIAL, *words, *letters, *("##" + letter for letter in letters)]))
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    description = {"do_lower_case": True, "model_max_length": 512}  # bert-base-uncased's: it names no class
    (folder / "tokenizer_config.json").write_text(json.dumps(description), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(names), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=256,
    )  # fmt: skip
    config.save_pretrained(folder)
    return folder


def build_tiny(text_folder: Path) -> nn.Module:
    """The published classes at a tiny size, weights from the counter hash.

    `text_folder` must hold weights of the text encoder, which are then replaced.
    """
    config = Path(str(groundingdino.__file__)).parent / "config" / "GroundingDINO_SwinT_OGC.py"
    settings = SLConfig.fromfile(str(config))
    settings.merge_from_dict(
        {
            "text_encoder_type": str(text_folder), "dim_feedforward": 64, "enc_layers": 1, "dec_layers": 2,
            "num_queries": 10, "use_checkpoint": False, "use_transformer_ckpt": False,
        }
    )  # fmt: skip
    original = backbone.build_swin_transformer
    backbone.build_swin_transformer = tiny_swin
    try:
        network: nn.Module = build_model(settings).eval()
    finally:
        backbone.build_swin_transformer = original
    network.load_state_dict(hashed_state(network.state_dict()))
    return network


def tiny_state(text_folder: Path) -> dict[str, Tensor]:
    """The hashed state_dict, without weights of the text encoder on disk."""
    with quietly(), text_encoder_from_config():
        return build_tiny(text_folder).state_dict()


def tiny_swin(_: str, pretrain_img_size: int, **options: Any) -> nn.Module:
    network: nn.Module = SwinTransformer(
        pretrain_img_size=pretrain_img_size, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8], window_size=7,
        **options,
    )  # fmt: skip
    return network


def hashed_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values from the counter hash by position in the sorted names; shared tensors get one value."""
    owners: dict[int, str] = {}
    result = {}
    for number, (name, value) in enumerate(sorted(state.items())):
        owner = owners.setdefault(value.data_ptr(), name) if value.numel() else name
        if owner != name:
            result[name] = result[owner]
        elif not value.is_floating_point():
            result[name] = value.clone()
        elif value.dim() > 1:
            result[name] = hval(tuple(value.shape), 20_000 + number, 1.4 * math.sqrt(3 / math.prod(value.shape[1:])))
        else:
            scale = hval(tuple(value.shape), 20_000 + number, 0.1)
            result[name] = scale + (1 if "norm" in name.lower() and name.endswith("weight") else 0)
    return result


def outputs(network: nn.Module) -> dict[str, Tensor]:
    """Logits and boxes of two captions on one hashed image."""
    image = hval((1, 3, 128, 160), 31_000, 2.0)
    found = {}
    with torch.no_grad():
        for number, caption in enumerate(("screw . zip - lock bag .", "disc . square . pin .")):
            answer = network(image, captions=[caption])
            found[f"logits{number}"], found[f"boxes{number}"] = answer["pred_logits"][0], answer["pred_boxes"][0]
    return found
