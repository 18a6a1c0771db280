"""A SAM with tiny random weights, as the published checkpoints lay it out."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

GRID, PATCH, CHANNELS = 16, 16, 32


def build_tiny_sam() -> Sam:
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        depth=2, embed_dim=32, img_size=GRID * PATCH, mlp_ratio=2, norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=2, patch_size=PATCH, qkv_bias=True, use_rel_pos=True, global_attn_indexes=(1,), window_size=7,
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
    return Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]).eval()


def write_tiny_sam(path: Path) -> Path:
    """Flat, as published."""
    torch.save(build_tiny_sam().state_dict(), path)
    return path


def noise(height: int = 120, width: int = 160, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
