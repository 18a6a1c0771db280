"""Trained parts: tensors and constructor arguments in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError


def write_weights(path: Path, state: dict[str, torch.Tensor], arguments: dict[str, Any]) -> None:
    """Write a state_dict and the JSON-able arguments that rebuild its module."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with replacing_file(path) as temporary:
        save_file(tensors, temporary, metadata={"arguments": json.dumps(arguments, sort_keys=True)})


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read (state_dict on the CPU, arguments).

    Raises:
        UserError: the file is not a safetensors file of ours.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            arguments = json.loads((file.metadata() or {})["arguments"])
            return {name: file.get_tensor(name) for name in sorted(file.keys())}, arguments
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: no readable weights ({error}): delete it and run `dvc repro`") from None
