"""What the checks run on: generated images, networks with random weights, and the profiles' settings made smaller."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np
import pandas as pd
import timm
import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel
from torch import Tensor, nn

from benchmarks.gpu.measure import Setting
from stages.core.encoder import pretrained
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.network import Network
from stages.core.run.params import load_value, validate

PROFILES = Path(__file__).parents[2] / "profiles"  # the checks run in a folder of their own
PUBLISHED, TINY = "wide_resnet50_2.tv2_in1k", "resnet10t.c3_in1k"
M = TypeVar("M", bound=BaseModel)


def encoder_name(setting: Setting) -> str:
    """Name the publications' encoder, or a small one with the same strides."""
    return TINY if setting.small else PUBLISHED


def untrained_encoder(name: str, setting: Setting, *, stages: Sequence[int] | None = None) -> FrozenEncoder:
    """Build the pipeline's encoder around a network with random weights: its time is that of the pretrained one.

    Args:
        name: of timm's; that of published weights, which are not loaded.
        setting: where it goes.
        stages: see `FrozenEncoder`.
    """
    with patch.object(pretrained, "create", untrained_body):
        encoder = FrozenEncoder(name, stages=stages)
    return encoder.to(setting.device)


def untrained_body(network: Network, source: object, options: Mapping[str, Any]) -> nn.Module:
    """Stand for `create`: draw the weights, also those of the last normalisation of a block, which timm sets to 0."""
    body: nn.Module = timm.create_model(network.name, pretrained=False, **options)
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.7)
    return body


def draw(number: int, size: int) -> tuple[UInt8[np.ndarray, "S S 3"], UInt8[np.ndarray, "S S"]]:
    """Draw a noisy plate with a disc (class 1) and a square (class 2), each a little elsewhere, and their labels."""
    random = np.random.default_rng(number)
    labels = np.zeros((size, size), dtype=np.uint8)
    rows, columns = np.mgrid[:size, :size] / size
    centre = random.uniform(0.25, 0.35, size=2)
    labels[np.hypot(rows - centre[0], columns - centre[1]) < 0.12] = 1
    top, left = (random.uniform(0.55, 0.65, size=2) * size).astype(int)
    labels[top : top + size // 5, left : left + size // 5] = 2
    image = random.normal(120, 12, (size, size, 3))
    image[labels == 1] += (90, -60, -60)
    image[labels == 2] += (-80, -20, 90)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def draw_images(count: int, size: int = 256) -> UInt8[Tensor, "N 3 S S"]:
    """Draw images as the stages load them."""
    return torch.from_numpy(np.stack([draw(number, size)[0] for number in range(count)])).permute(0, 3, 1, 2)


def write_images(folder: Path, splits: Sequence[str], size: int = 256) -> pd.DataFrame:
    """Write a drawn image for each entry of `splits`, and return the image table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, split in enumerate(splits):
        Image.fromarray(draw(number, size)[0]).save(folder / f"{number:03d}.png")
        rows.append((f"{split}/{number:03d}", f"{number:03d}.png", split))
    return pd.DataFrame(rows, columns=["image_id", "file", "split"])


def section_of(model: type[M], section: str, *, profile: str, changes: Mapping[str, Any] | None = None) -> M:
    """Read a section of a profile, with other values at some dotted paths below it."""
    file = PROFILES / f"{profile}.yaml"
    values = load_value(section, file=file)
    for path, value in (changes or {}).items():
        *above, last = path.split(".")
        inner = values
        for key in above:
            inner = inner[key]
        inner[last] = value
    return validate(model, values, where=section, file=file)
