"""GroundingDINO: boxes for words. Built by `groundingdino-py`, with the published `.pth` weights."""

import contextlib
import io
import logging
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stages.aecsad.pseudo_label.foundation.checkpoint_files import count_blocks, load_strictly, read_state, shape_of
from stages.aecsad.pseudo_label.foundation.grounding_text import check_text_folder, text_encoder_from_config
from stages.core.running.errors import UserError

LOG = logging.getLogger(__name__)
UNUSED = re.compile(
    r"label_enc\.weight"  # of the training's denoising queries
    r"|bert\.embeddings\.position_ids"  # a buffer of older transformers
    r"|backbone\.0\..*\.relative_position_index"
)
MISSING = "GroundingDINO is not installed: run `pip install --no-deps -c constraints.txt groundingdino-py`"


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
    LOG.info("%s: %d tensors loaded, %d known ones left out", path.name, len(kept), len(state) - len(kept))
    return network


@contextlib.contextmanager
def quietly() -> Any:
    """groundingdino-py prints and uses old names of timm and torch; none of it concerns the user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def build(path: Path, state: Mapping[str, Tensor], text_folder: Path) -> nn.Module:
    """The network with random weights, its sizes as the checkpoint's shapes tell them.

    Raises:
        UserError: groundingdino-py is not installed, or a tensor that tells the sizes is missing.
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
    """Constructor arguments of the Swin backbone."""
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
    """The published settings, with sizes from the checkpoint and gradient checkpointing off."""
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
    """Second names of shared modules that a checkpoint may leave out: one box head serves all decoder layers."""
    aliases = {}
    for name in network.state_dict():
        first = re.sub(r"^transformer\.decoder\.bbox_embed\.", "bbox_embed.", name)
        if name not in state and first in state:
            aliases[name] = state[first]
    return aliases
