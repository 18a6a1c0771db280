"""GroundingDINO, which finds boxes for words: built by `groundingdino-py` with the published `.pth` weights.

Its text encoder, a BERT, comes from local files, and of every token of a caption it is known to which class it belongs.
"""

import contextlib
import io
import logging
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.aecsad.pseudo_label.foundation.prompts import is_one_class
from stages.aecsad.pseudo_label.foundation.weights import count_blocks, load_strictly, read_state, shape_of
from stages.core.run.errors import UserError

MAX_TOKENS = 256  # the network cuts longer captions without a word
LOG = logging.getLogger(__name__)
UNUSED = re.compile(
    r"label_enc\.weight"  # of the training's denoising queries
    r"|bert\.embeddings\.position_ids"  # a buffer of older transformers
    r"|backbone\.0\..*\.relative_position_index"
)
MISSING = "GroundingDINO is not installed: run `pip install --no-deps -c constraints.txt groundingdino-py`"


@dataclass(frozen=True)
class Caption:
    """A caption that fits, "screw . zip-lock bag .", and the tokens of each class.

    Attributes:
        classes: for each class in the caption its number in the caller's list.
        spans: for each class the positions of its tokens; the separating points belong to none.
    """

    text: str
    classes: tuple[int, ...]
    spans: tuple[tuple[int, ...], ...]


def check_words(classes: Sequence[str], folder: Path) -> None:
    """Find out in a second, before any image is tagged, whether the network can be asked for these classes.

    Args:
        folder: the text encoder's files.

    Raises:
        UserError: a file is missing, and see `captions_of`.
    """
    from transformers import AutoTokenizer

    check_text_folder(folder)
    captions_of(classes, AutoTokenizer.from_pretrained(folder, local_files_only=True))


def captions_of(classes: Sequence[str], tokenizer: Any) -> list[Caption]:
    """Make as few captions as can hold all classes, each within the network's limit.

    Raises:
        UserError: a class is empty, holds a character that separates classes, or is too long for one caption.
    """
    tokens = [class_tokens(name, tokenizer) for name in classes]
    captions: list[list[int]] = []
    used = MAX_TOKENS
    for number, found in enumerate(tokens):
        if len(found) + 3 > MAX_TOKENS:
            raise UserError(f"prompt {classes[number][:60]!r}: {len(found)} tokens, too long: use fewer words")
        if used + len(found) + 1 > MAX_TOKENS:
            captions.append([])
            used = 2  # [CLS] and [SEP]
        captions[-1].append(number)
        used += len(found) + 1  # and its point
    return [caption_of([classes[i] for i in chosen], [len(tokens[i]) for i in chosen], chosen) for chosen in captions]


def class_tokens(name: str, tokenizer: Any) -> list[int]:
    """Return the token numbers of one class.

    Raises:
        UserError: it is empty, would be taken for two classes, or has characters unknown to the text encoder.
    """
    if not is_one_class(name):
        raise UserError(f"prompt {name!r}: write one class of words without '.' and '?'")
    tokens = list(tokenizer(name.lower().strip(), add_special_tokens=False)["input_ids"])
    if tokenizer.unk_token_id in tokens:
        raise UserError(
            f"prompt {name!r}: unknown to the text encoder: write it in English (or fetch the tokenizer again)"
        )
    return tokens


def caption_of(names: Sequence[str], lengths: Sequence[int], classes: Sequence[int]) -> Caption:
    """Join classes by points; token 0 is [CLS]."""
    spans, position = [], 1
    for length in lengths:
        spans.append(tuple(range(position, position + length)))
        position += length + 1
    return Caption(" ".join(f"{name.lower().strip()} ." for name in names), tuple(classes), tuple(spans))


def class_scores(probabilities: Float[Tensor, "Q T"], caption: Caption) -> Float[Tensor, "Q K"]:
    """Return how well each of Q boxes fits each class of the caption: the probability of the class's best token.

    The published code decodes all probable tokens into a phrase, which can be empty, hold special tokens or span two
    classes, and looks for class names in it. Here only a class's own tokens count for it.

    Args:
        probabilities: sigmoid of the network's logits, one a token.
    """
    return torch.stack([probabilities[:, list(span)].amax(dim=1) for span in caption.spans], dim=1)


@contextmanager
def text_encoder_from_config() -> Iterator[None]:
    """Build GroundingDINO's BERT from `config.json` alone within the block: the checkpoint has its weights.

    groundingdino-py would load a second set of weights from the hub only to replace them.
    """
    from groundingdino.util import get_tokenlizer

    original = get_tokenlizer.get_pretrained_language_model
    get_tokenlizer.get_pretrained_language_model = build_bert
    try:
        yield
    finally:
        get_tokenlizer.get_pretrained_language_model = original


def build_bert(folder: str) -> Any:
    """Build BERT with random weights from `folder/config.json`, with the methods that groundingdino-py calls.

    transformers 5 removed three of them; their replacements here are for an encoder, which GroundingDINO's BERT is.
    """
    from transformers import BertConfig, BertModel

    logging.getLogger("transformers").setLevel(logging.ERROR)  # of groundingdino-py's old calls, which are tested
    config = BertConfig.from_pretrained(folder, local_files_only=True)
    config.return_dict = True
    bert = BertModel(config)
    for name, method in {
        "get_extended_attention_mask": extended_attention_mask,
        "invert_attention_mask": refuse_decoding,
        "get_head_mask": head_mask,
    }.items():
        if not hasattr(bert, name):
            setattr(bert, name, method)
    return bert


def extended_attention_mask(mask: Tensor, *_: Any, **__: Any) -> Float[Tensor, "B 1 r T"]:
    """Return 0 where a token may look, else the lowest number; `mask` is (B, T, T) or (B, T) with 1 for may."""
    broad = mask[:, None, :, :] if mask.dim() == 3 else mask[:, None, None, :]
    return (1.0 - broad.float()) * torch.finfo(torch.float32).min


def head_mask(mask: Tensor | None, layers: int, *_: Any) -> list[None]:
    """Return a mask of no head.

    Raises:
        ValueError: a head is to be masked.
    """
    if mask is not None:
        raise ValueError("masked heads are not supported")
    return [None] * layers


def refuse_decoding(*_: Any) -> Tensor:
    """Refuse to be a decoder.

    Raises:
        ValueError: always.
    """
    raise ValueError("GroundingDINO's BERT is an encoder; it has no cross-attention mask to invert")


def check_text_folder(folder: Path) -> None:
    """Check that the files of the text encoder are there.

    Raises:
        UserError: one is missing.
    """
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing: fetch the text encoder's files")


def load_grounding_dino(path: Path, text_folder: Path) -> nn.Module:
    """Build the network with the weights of a `.pth` file, in eval mode on the CPU.

    The deformable attention of groundingdino-py is plain torch, so nothing has to be compiled for CPU or GPU.

    Args:
        text_folder: config.json and tokenizer files of the text encoder (bert-base-uncased); no weights of its own.

    Raises:
        UserError: a file is missing, the checkpoint lacks or adds a tensor, or groundingdino-py is not installed.
    """
    check_text_folder(text_folder)
    published = read_state(path)
    state = {name.removeprefix("module."): value for name, value in published.items()}
    index = {name for name in state if UNUSED.fullmatch(name)}
    with quietly():
        network = build(path, state, text_folder)
    kept = {name: value for name, value in state.items() if name not in index or name in network.state_dict()}
    load_strictly(path, network, kept | shared_names(network, kept))
    LOG.info("%s: %d tensors loaded, %d known ones ignored", path.name, len(kept), len(state) - len(kept))
    return network


@contextlib.contextmanager
def quietly() -> Any:
    """Silence groundingdino-py, which prints and uses old names of timm and torch; none of it concerns the user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def build(path: Path, state: Mapping[str, Tensor], text_folder: Path) -> nn.Module:
    """Build the network with random weights, its sizes as the checkpoint's shapes imply them.

    Raises:
        UserError: groundingdino-py is not installed, or a tensor that is needed for the sizes is missing.
    """
    try:
        from groundingdino.models.GroundingDINO.backbone.backbone import Joiner
        from groundingdino.models.GroundingDINO.backbone.position_encoding import PositionEmbeddingSineHW
        from groundingdino.models.GroundingDINO.backbone.swin_transformer import SwinTransformer
        from groundingdino.models.GroundingDINO.groundingdino import GroundingDINO
        from groundingdino.models.GroundingDINO.transformer import build_transformer
    except ModuleNotFoundError as error:
        raise UserError(f"{MISSING} ({error})") from None
    swin = SwinTransformer(**swin_sizes(path, state), out_indices=(1, 2, 3), drop_path_rate=0.0)
    settings = transformer_settings(path, state)
    backbone = Joiner(
        swin, PositionEmbeddingSineHW(settings.hidden_dim // 2, temperatureH=20, temperatureW=20, normalize=True)
    )
    backbone.num_channels = swin.num_features[1:]
    with text_encoder_from_config():
        network: nn.Module = GroundingDINO(
            backbone,
            build_transformer(settings),
            num_queries=settings.num_queries,
            iter_update=True,
            query_dim=4,
            num_feature_levels=4,
            nheads=8,
            two_stage_type="standard",
            two_stage_bbox_embed_share=False,
            two_stage_class_embed_share=False,
            dn_number=0,
            text_encoder_type=str(text_folder),
        )
    return network


def swin_sizes(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the Swin backbone's constructor arguments."""
    layers = "backbone.0.layers"
    stages = range(count_blocks(state, f"{layers}."))
    tables = [shape_of(path, state, f"{layers}.{s}.blocks.0.attn.relative_position_bias_table") for s in stages]
    if len(tables) != 4:
        raise UserError(f"{path}: no Swin backbone of four stages: fetch a published GroundingDINO checkpoint")
    return {
        "embed_dim": shape_of(path, state, "backbone.0.patch_embed.proj.weight")[0],
        "depths": [count_blocks(state, f"{layers}.{stage}.blocks.") for stage in stages],
        "num_heads": [heads for _, heads in tables],
        "window_size": (math.isqrt(tables[0][0]) + 1) // 2,
    }


def transformer_settings(path: Path, state: Mapping[str, Tensor]) -> Any:
    """Return the published settings, with sizes from the checkpoint and gradient checkpointing off."""
    import groundingdino
    from groundingdino.util.slconfig import SLConfig

    package = Path(str(groundingdino.__file__)).parent
    settings = SLConfig.fromfile(str(package / "config" / "GroundingDINO_SwinT_OGC.py"))
    queries, hidden = shape_of(path, state, "transformer.tgt_embed.weight")
    settings.merge_from_dict(
        {
            "hidden_dim": hidden,
            "num_queries": queries,
            "dim_feedforward": shape_of(path, state, "transformer.encoder.layers.0.linear1.weight")[0],
            "enc_layers": count_blocks(state, "transformer.encoder.layers."),
            "dec_layers": count_blocks(state, "transformer.decoder.layers."),
            "use_checkpoint": False,
            "use_transformer_ckpt": False,
        }
    )
    return settings


def shared_names(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return second names of shared modules that a checkpoint may lack: one box head serves all decoder layers."""
    aliases = {}
    for name in network.state_dict():
        first = re.sub(r"^transformer\.decoder\.bbox_embed\.", "bbox_embed.", name)
        if name not in state and first in state:
            aliases[name] = state[first]
    return aliases
