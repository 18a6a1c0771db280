"""The tiny random CLIPs of the golden files, built from their stored weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file

from stages.clip.model.encoder import ClipEncoder
from stages.clip.model.weights import load_state

FOLDER = Path(__file__).parent
TOLERANCE = {"rtol": 0, "atol": 1e-4}
VOCABULARY = 49408


def read_golden(name: str) -> tuple[dict[str, torch.Tensor], dict[str, np.ndarray]]:
    """(weights, inputs and outputs) of `<name>_tiny`; the token embedding is made whole, its unused rows are zero."""
    weights = load_file(FOLDER / f"{name}_tiny.safetensors")
    rows = weights.pop("token_embedding.rows")
    embedding = torch.zeros(VOCABULARY, rows.shape[1])
    embedding[weights.pop("token_embedding.ids")] = rows
    weights["token_embedding.weight"] = embedding
    with np.load(FOLDER / f"{name}_tiny_io.npz") as arrays:
        return weights, dict(arrays)


def build_encoder(
    weights: dict[str, torch.Tensor],
    *,
    embed_dim: int,
    vision: dict[str, Any],
    text: dict[str, Any],
    quick_gelu: bool = False,
) -> ClipEncoder:
    """The encoder of a golden file's CLIP weights."""
    clip = CLIP(embed_dim, CLIPVisionCfg(**vision), CLIPTextCfg(**text), quick_gelu=quick_gelu)
    names = set(clip.state_dict()) & set(weights)
    load_state(clip, {name: weights[name] for name in names})
    return ClipEncoder(clip)


def part(weights: dict[str, torch.Tensor], *prefixes: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with one of the prefixes."""
    return {name: value for name, value in weights.items() if name.startswith(prefixes)}
