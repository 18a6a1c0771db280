"""The text side of GroundingDINO: BERT from local files, and captions whose tokens are known to belong to a class."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from stages.aecsad.pseudo_label.prompts import is_one_class
from stages.core.running.errors import UserError

MAX_TOKENS = 256  # the network cuts longer captions without a word


@dataclass(frozen=True)
class Caption:
    """A caption that fits, "screw . zip-lock bag .", and whose tokens are whose.

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
    """As few captions as hold all classes, each within the network's limit.

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
    """The token numbers of one class.

    Raises:
        UserError: it is empty, would be taken for two classes, or has signs that the text encoder does not know.
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
    """How well each of Q boxes fits each class of the caption: the probability of the class's best token.

    The published code decodes all probable tokens into a phrase, which can be empty, hold special tokens or span two
    classes, and looks for class names in it. Here only a class's own tokens speak for it.

    Args:
        probabilities: sigmoid of the network's logits, one a token.
    """
    return torch.stack([probabilities[:, list(span)].amax(dim=1) for span in caption.spans], dim=1)


@contextmanager
def text_encoder_from_config() -> Iterator[None]:
    """Within the block GroundingDINO's BERT is built from `config.json` alone: the checkpoint brings its weights.

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
    """BERT with random weights as `folder/config.json` describes it, with the methods that groundingdino-py calls.

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
    """0 where a token may look, the lowest number where not; `mask` is (B, T, T) or (B, T) with 1 for may."""
    broad = mask[:, None, :, :] if mask.dim() == 3 else mask[:, None, None, :]
    return (1.0 - broad.float()) * torch.finfo(torch.float32).min


def head_mask(mask: Tensor | None, layers: int, *_: Any) -> list[None]:
    """No head is masked."""
    if mask is not None:
        raise ValueError("masked heads are not supported")
    return [None] * layers


def refuse_decoding(*_: Any) -> Tensor:
    raise ValueError("GroundingDINO's BERT is an encoder; it has no cross-attention mask to invert")


def check_text_folder(folder: Path) -> None:
    """
    Raises:
        UserError: a file of the text encoder is missing.
    """
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing: fetch the text encoder's files")
