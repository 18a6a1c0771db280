"""Checkpoints, from which the next run continues an interrupted training.

They are in a scratch folder that neither git nor DVC looks at, under a fingerprint of all that decides the result. An
output with DVC's `persist` would also outlive a kill, but a changed input would then find the finished state of
the old one and train nothing.
"""

import hashlib
import json
import logging
import pickle
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.core.run.atomic import replacing_file

LOG = logging.getLogger(__name__)
FOLDER = Path("work/checkpoints")
CODE = Path(__file__).parents[2]  # all of stages/: networks and losses are where their method is
KEPT_SECONDS = 7 * 24 * 3600

State = dict[str, Any]


def checkpoint_file(label: str, *, tensors: Iterable[Tensor | None], settings: Mapping[str, Any]) -> Path:
    """Return where one training's checkpoints are; elsewhere for any difference that decides its result.

    Args:
        label: of the training, in the file's name for information.
        tensors: initial weights and training data.
        settings: plain JSON values.
    """
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode())
    digest.update(f"{torch.__version__} {torch.get_num_threads()}".encode())
    for tensor in tensors:
        digest.update(b"-" if tensor is None else _bytes_of(tensor))
    for module in sorted(CODE.rglob("*.py")):
        digest.update(module.read_bytes())
    return FOLDER / f"{label}-{digest.hexdigest()[:16]}.pt"


def save_checkpoint(path: Path, state: State) -> None:
    """Replace the checkpoint by one of this state; if the process is killed meanwhile, the old one stays."""
    with replacing_file(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path) -> State | None:
    """Load the last saved state onto the CPU; None without one, or for one that cannot be read, which is logged."""
    if not path.exists():
        return None
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        LOG.warning("%s cannot be read (%s): starting from the first iteration", path, error)
        return None
    return state


def remove_old_checkpoints() -> None:
    """Delete checkpoints not written for a week: that training will not come back."""
    for path in FOLDER.glob("*"):
        if time.time() - path.stat().st_mtime > KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _bytes_of(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().flatten()
    header = f"{tuple(tensor.shape)} {tensor.dtype}".encode()
    return header + flat.view(torch.uint8).numpy().tobytes()
