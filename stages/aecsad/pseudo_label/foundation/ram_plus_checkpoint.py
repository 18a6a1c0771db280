"""Load a published RAM++ checkpoint: every tensor that inference needs, and no silence about any other."""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from stages.aecsad.pseudo_label.foundation.checkpoint_files import count_blocks, load_strictly, read_state, shape_of
from stages.aecsad.pseudo_label.foundation.ram_plus import RamPlus, RamPlusConfig
from stages.core.running.errors import UserError

LOG = logging.getLogger(__name__)
BUFFER = re.compile(r"visual_encoder\..*\.(relative_position_index|attn_mask)")  # timm computes them
UNUSED = ("logit_scale",)  # of the training's contrastive loss
DEFAULT_LOG_SCALE = math.log(1 / 0.07)  # what the published class starts with where the file has no reweight_scale
DOWNSAMPLE = re.compile(r"(visual_encoder\.layers)\.(\d+)\.downsample\.")
SWIN, LAYER = "visual_encoder.layers", "tagging_head.encoder.layer"


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
    LOG.info("%s: %d tensors loaded, %d known ones left out", path.name, len(state), len(ignored))
    return network


def inference_state(published: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Published names as `RamPlus` has them, and the names that are known and not needed.

    timm puts a stage's patch merging at its start, the published Swin at the end of the stage before.
    """
    ignored = [name for name in published if BUFFER.fullmatch(name) or name in UNUSED]
    return {our_name(name): value for name, value in published.items() if name not in ignored}, ignored


def our_name(published: str) -> str:
    """`visual_encoder.layers.0.downsample.norm.bias` -> `visual_encoder.layers.1.downsample.norm.bias`."""
    name = re.sub(r"^vision_multi\.", "tagging_head.", published)  # older files
    return DOWNSAMPLE.sub(lambda match: f"{match[1]}.{int(match[2]) + 1}.downsample.", name)


def architecture(path: Path, state: Mapping[str, Tensor], *, tags: int) -> RamPlusConfig:
    """Sizes as the tensors' shapes tell them; the last stage of the published Swins is a single window (384 px).

    Raises:
        UserError: a tensor that tells them is missing, or `label_embed` is no multiple of the number of tags.
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
