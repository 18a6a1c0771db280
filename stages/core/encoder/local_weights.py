"""Weights of a network in a local file: whether it is the one that the profile names, and fits."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from torch import Tensor

from stages.core.run.errors import UserError
from stages.core.run.network import Network

KEY = "profile: encoder.weights"


def check_weights_file(network: Network, *, classifier: str | tuple[str, ...] | None) -> None:
    """Check a file's content and that it has every tensor of the network.

    timm itself is content with a file that lacks some, whose layers then stay random.

    Args:
        network: with a file.
        classifier: timm's names of the last layers, which may be missing and are never used.

    Raises:
        UserError: the file is missing, is another one, cannot be read or does not fit.
    """
    path = Path(str(network.weights))
    if not path.is_file():
        raise UserError(f"{KEY}: there is no file {path}: put the weights of {network.name} there")
    found = file_hash(path)
    if found != network.sha256:
        raise UserError(
            f"{KEY}: the sha256 of {path} is {found}, not {network.sha256}: correct it, or get the file again"
        )
    try:
        tensors: Mapping[str, Tensor] = timm.models.load_state_dict(str(path))
    except Exception as error:  # foreign parsers raise their own kinds
        raise UserError(f"{KEY}: {path} cannot be read ({type(error).__name__}: {error})") from None
    with torch.device("meta"):
        wanted = timm.create_model(network.name, pretrained=False).state_dict()
    last = (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
    needed = {key: one.shape for key, one in wanted.items() if not key.startswith(tuple(f"{name}." for name in last))}
    wrong = [key for key, shape in needed.items() if key not in tensors or tensors[key].shape != shape]
    if wrong:
        raise UserError(
            f"{KEY}: {path} does not fit {network.name}: {len(wrong)} of {len(needed)} tensors are missing or have "
            f"another shape, {wrong[0]} first; needed is a file with timm's names"
        )


def file_hash(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
