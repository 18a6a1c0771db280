"""Which layers of a network stand for the strides 4, 8, 16 and 32."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch

from stages.core.encoder.lite0_weights import LITE0, LITE0_STRIDES
from stages.core.run.errors import UserError
from stages.core.run.network import Network

POSITIONS = {4: 0, 8: 1, 16: 2, 32: 2}  # in `out_indices`, of the block that stands for a stride


@dataclass(frozen=True)
class Layers:
    """Layers of a network.

    Attributes:
        indices: timm's numbers.
        blocks: whether they are blocks of a transformer, whose maps all have the stride of its patches.
    """

    indices: tuple[int, ...]
    blocks: bool


def layers_of(network: Network, stages: Sequence[int] | None, strides: Sequence[int]) -> Layers:
    """Return the layers of explicit stages, or else those that stand for `strides`.

    Raises:
        UserError: the network has no such layers, or the profile must name them and does not.
    """
    if stages is not None:
        return Layers(tuple(stages), blocks=False)
    reductions = LITE0_STRIDES if network.name == LITE0 else reductions_of(network.name)
    if len(set(reductions)) == 1:
        return Layers(blocks_of(network, strides, count=len(reductions)), blocks=True)
    return Layers(stages_of(network, reductions, strides), blocks=False)


def reductions_of(name: str) -> tuple[int, ...]:
    """Return the strides of all layers that timm can return, without drawing a weight.

    Raises:
        UserError: timm returns no maps of features of this network.
    """
    try:
        with torch.device("meta"):
            network: Any = timm.create_model(name, features_only=True)
        return tuple(int(info["reduction"]) for info in network.feature_info.info)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"profile: encoder.name: timm returns no maps of features of {name} ({error})") from None


def stages_of(network: Network, reductions: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Return timm's numbers of the stages with these strides.

    Raises:
        UserError: there are none, or the profile names others.
    """
    name, layers = network.name, network.out_indices
    if any(stride not in reductions for stride in strides):
        raise UserError(
            f"profile: encoder.name: {name} has stages at strides {tuple(reductions)}, needed are {tuple(strides)}"
        )
    named = None if layers is None else [reductions[layer] for layer in layers if layer < len(reductions)]
    if named not in (None, [4, 8, 16]):
        raise UserError(
            f"profile: encoder.out_indices: layers {layers} of {name} are of strides {named}, needed are [4, 8, 16]: "
            "write null, which finds them"
        )
    return tuple(reductions.index(stride) for stride in strides)


def blocks_of(network: Network, strides: Sequence[int], *, count: int) -> tuple[int, ...]:
    """Return the blocks that stand for `strides`, of a network whose blocks all have one.

    Args:
        network: which one.
        strides: of 4, 8, 16 and 32.
        count: of its blocks.

    Raises:
        UserError: the profile names none, or others than the network has.
    """
    layers = network.out_indices
    if layers is None:
        example = [count // 3 - 1, 2 * count // 3 - 1, count - 1]
        raise UserError(
            f"profile: encoder.name: the {count} blocks of {network.name} all have one stride: choose those that stand "
            f"for strides 4, 8 and 16, for example encoder.out_indices: {example}"
        )
    if list(layers) != sorted(set(layers)) or layers[-1] >= count:
        raise UserError(
            f"profile: encoder.out_indices: {list(layers)} are no increasing numbers of blocks of {network.name}, "
            f"which has 0 to {count - 1}"
        )
    return tuple(layers[POSITIONS[stride]] for stride in strides)


def check_strides(name: str, stages: Sequence[int], strides: Sequence[int]) -> None:
    """Check that stages named by number have the stride 2^(n + 1), which their users count on.

    Raises:
        UserError: they have others.
    """
    needed = tuple(2 ** (stage + 1) for stage in stages)
    if tuple(strides) != needed:
        raise UserError(f"profile: encoder.name: {name} has stages at strides {tuple(strides)}, needed are {needed}")
