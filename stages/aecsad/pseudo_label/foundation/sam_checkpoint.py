"""Build SAM by `segment-anything` with the published weights of any of its sizes."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor

from stages.aecsad.pseudo_label.foundation.checkpoint_files import count_blocks, load_strictly, read_state, shape_of

LOG = logging.getLogger(__name__)
PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BLOCKS, DECODER_HEADS = "image_encoder.blocks", 8


def load_sam(path: Path) -> Sam:
    """SAM in eval mode on the CPU; ViT-B, L and H are told apart by the checkpoint's shapes.

    Raises:
        UserError: the file is no SAM checkpoint (that of SAM-HQ is another network), or lacks or adds a tensor.
    """
    state = read_state(path)
    encoder = encoder_sizes(path, state)
    channels, grid = encoder["out_chans"], encoder["img_size"] // encoder["patch_size"]
    network = Sam(
        image_encoder=ImageEncoderViT(
            **encoder, norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), qkv_bias=True, use_rel_pos=True
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(grid, grid),
            input_image_size=(encoder["img_size"], encoder["img_size"]),
            mask_in_chans=shape_of(path, state, "prompt_encoder.mask_downscaling.3.weight")[0],
        ),
        mask_decoder=build_decoder(path, state, channels),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    load_strictly(path, network, state)
    LOG.info("%s: %d tensors loaded", path.name, len(state))
    return network


def encoder_sizes(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Constructor arguments of the image encoder; a global block's relative positions span the grid."""
    width, _, patch, _ = shape_of(path, state, "image_encoder.patch_embed.proj.weight")
    grid = shape_of(path, state, "image_encoder.pos_embed")[1]
    depth = count_blocks(state, f"{BLOCKS}.")
    spans = [shape_of(path, state, f"{BLOCKS}.{i}.attn.rel_pos_h") for i in range(depth)]
    windows = [(length + 1) // 2 for length, _ in spans]
    return {
        "img_size": grid * patch,
        "patch_size": patch,
        "embed_dim": width,
        "depth": depth,
        "num_heads": width // spans[0][1],
        "mlp_ratio": shape_of(path, state, f"{BLOCKS}.0.mlp.lin1.weight")[0] / width,
        "out_chans": shape_of(path, state, "image_encoder.neck.0.weight")[0],
        "window_size": min(windows),
        "global_attn_indexes": tuple(i for i, window in enumerate(windows) if window == grid),
    }


def build_decoder(path: Path, state: Mapping[str, Tensor], channels: int) -> MaskDecoder:
    layers = "mask_decoder.transformer.layers"
    return MaskDecoder(
        num_multimask_outputs=shape_of(path, state, "mask_decoder.mask_tokens.weight")[0] - 1,
        transformer=TwoWayTransformer(
            depth=count_blocks(state, f"{layers}."),
            embedding_dim=channels,
            mlp_dim=shape_of(path, state, f"{layers}.0.mlp.lin1.weight")[0],
            num_heads=DECODER_HEADS,
        ),
        transformer_dim=channels,
        iou_head_depth=count_blocks(state, "mask_decoder.iou_prediction_head.layers."),
        iou_head_hidden_dim=shape_of(path, state, "mask_decoder.iou_prediction_head.layers.0.weight")[0],
    )
