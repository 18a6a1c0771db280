"""A hub cache with a randomly initialised network, so that the pipeline loads it as it would load published weights."""

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

COMMIT = "0" * 40
OFFLINE = {"HF_HUB_OFFLINE": "1"}


def write_hub_cache(home: Path, name: str, *, seed: int = 0) -> dict[str, str]:
    """Write weights under `home` in the layout of huggingface_hub and return the environment that uses them."""
    torch.manual_seed(seed)
    network = timm.create_model(name, pretrained=False)
    folder = home / "hub" / f"models--timm--{name}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT, encoding="utf-8")
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, snapshot / "model.safetensors")
    return {**OFFLINE, "HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub")}
