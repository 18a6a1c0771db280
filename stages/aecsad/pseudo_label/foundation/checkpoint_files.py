"""Published checkpoints: read without unpickling code, compared tensor by tensor with what a network needs."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.core.running.errors import UserError


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors under "model", or the whole file where it is flat; mapped into memory, not read at once.

    Raises:
        UserError: the file is missing, damaged, or would need more than tensors to be unpickled.
    """
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds more than tensors or is damaged ({str(error).splitlines()[0]}): fetch it again; if its "
            "sha256 is right, save its tensors alone: torch.save({'model': state_dict}, path)"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{path}: no readable checkpoint ({error}): fetch it again") from None
    state = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: no state_dict, neither under 'model' nor at the top: fetch the published file")
    return dict(state)


def shape_of(path: Path, state: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """The shape of a tensor that tells the network's architecture.

    Raises:
        UserError: the file has no such tensor.
    """
    if name not in state:
        raise UserError(f"{path}: not the checkpoint that is expected: {name} is missing")
    return tuple(state[name].shape)


def count_blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered modules lie below a prefix: "layers." of layers.0.x, layers.1.x is 2."""
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def load_strictly(path: Path, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put the tensors into the network and freeze it, in eval mode.

    Raises:
        UserError: a tensor is missing, unknown, or of another shape; the first ones are named.
    """
    needed = network.state_dict()
    problems = [f"{name} is missing" for name in needed if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in needed]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in needed.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        shown = "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")
        raise UserError(f"{path}: not the checkpoint that is expected: {shown}")
    network.load_state_dict(dict(state), strict=True, assign=True)
    network.eval().requires_grad_(False)
