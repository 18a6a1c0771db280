"""Pretrained networks as feature extractors: timm's, with weights from an installed package, a file or the hub.

timm takes seconds to import. A network whose graph is at hand runs without it (`stages.core.encoder.engine`), so that
only what builds networks imports this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import timm
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stages.core.encoder.layers import Layers, check_strides, layers_of
from stages.core.encoder.lite0_weights import LITE0, LITE0_MEAN_STD, build_lite0, copy_matching
from stages.core.encoder.local_weights import check_weights_file
from stages.core.encoder.token_grids import TokenGrids
from stages.core.run.errors import UserError
from stages.core.run.network import Network

SIDES = (128, 160)  # of blank images that show whether a network takes images of any size


@dataclass(frozen=True)
class PretrainedFeatures:
    """A network that returns the feature maps of some layers, and the RGB statistics it was trained with.

    Attributes:
        stages: timm's numbers of the layers.
    """

    body: nn.Module
    stages: tuple[int, ...]
    channels: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def pretrained_features(
    network: Network, *, stages: Sequence[int] | None, strides: Sequence[int]
) -> PretrainedFeatures:
    """Build timm's feature extractor of a network and load its pretrained weights.

    Args:
        network: which one.
        stages: timm's numbers of stages of stride 2^(n + 1); None: the layers that stand for `strides`.
        strides: of 4, 8, 16 and 32.

    Raises:
        UserError: the name is unknown, the network has no such layers or takes images of one size only, or its weights
            are not available.
    """
    if network.name == LITE0:
        return lite0_features(layers_of(network, stages, strides).indices)
    source = description_of(network)
    layers = layers_of(network, stages, strides)
    body: Any = token_grids(network, layers, source) if layers.blocks else pyramid(network, layers, source)
    channels = tuple(body.feature_info.channels())
    if stages is None:
        check_sizes(body.eval(), network.name, channels)
    else:
        check_strides(network.name, stages, body.feature_info.reduction())
    return PretrainedFeatures(body, layers.indices, channels, source.mean, source.std)


def lite0_features(stages: tuple[int, ...]) -> PretrainedFeatures:
    """Build the network whose weights come with a package."""
    body: Any = timm.create_model(LITE0, features_only=True, out_indices=stages)
    copy_matching(body, build_lite0().state_dict())
    fold_batch_norms(body.eval())
    check_strides(LITE0, stages, body.feature_info.reduction())
    return PretrainedFeatures(body, stages, tuple(body.feature_info.channels()), *LITE0_MEAN_STD)


def description_of(network: Network) -> timm.models.PretrainedCfg:
    """Return where timm has the weights of a network from, and their preprocessing.

    Raises:
        UserError: timm knows no such network, or no weights for it while no file was named.
    """
    name = network.name
    try:
        source = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # the part of the name after the point is unknown
        source = None
    if source is None or not (source.has_weights or network.weights):
        known = timm.list_models(pretrained=True)  # each with its weights' name after a point, which may be left away
        near = get_close_matches(name, known if "." in name else {LITE0, *(one.partition(".")[0] for one in known)}, 3)
        advice = f"did you mean {' or '.join(near)}?" if near else "take one of `timm.list_models(pretrained=True)`"
        raise UserError(
            f"profile: encoder.name: timm {timm.__version__} has no pretrained weights for {name!r}: {advice}"
        )
    return source


def pyramid(network: Network, layers: Layers, source: timm.models.PretrainedCfg) -> nn.Module:
    """Build a network whose stages have different strides.

    Raises:
        UserError: its weights are not available.
    """
    return create(network, source, {"features_only": True, "out_indices": layers.indices})


def token_grids(network: Network, layers: Layers, source: timm.models.PretrainedCfg) -> TokenGrids:
    """Build a vision transformer that returns the token grids of some blocks.

    Raises:
        UserError: its weights are not available, or it takes images of one size only.
    """
    try:
        model = create(network, source, {"dynamic_img_size": True, "num_classes": 0})

    except TypeError:  # timm's constructor has no such argument
        raise UserError(
            f"profile: encoder.name: {network.name} takes images of one size only: choose a transformer whose position "
            "embeddings timm resamples (ViT, DeiT III, DINOv2, DINOv3, EVA-02, SigLIP)"
        ) from None
    return TokenGrids(model, layers.indices)


def create(network: Network, source: timm.models.PretrainedCfg, options: Mapping[str, Any]) -> nn.Module:
    """Build a network whose weights come from a file or the hub or its cache, never random ones.

    Args:
        network: which one.
        source: what timm knows of its weights.
        options: of timm's constructor.

    Raises:
        UserError: they are not available.
    """
    name, weights = network.name, network.weights
    overlay = None
    if weights is not None:
        check_weights_file(network, classifier=source.classifier)
        overlay = {"file": weights, "custom_load": False}
    try:
        body: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights of {name} could not be loaded ({type(error).__name__}: {error}): fetch them once with "
            f"`hf download {source.hf_hub_id}` on a machine with network access, or copy its hub cache here"
        ) from None
    return body


@torch.no_grad()
def check_sizes(body: nn.Module, name: str, channels: Sequence[int]) -> None:
    """Check with blank images of two sizes that a network takes any and returns maps with the channels first.

    Raises:
        UserError: it does not.
    """
    for side in SIDES:
        try:
            found = [tuple(one.shape[:2]) for one in body(torch.zeros(1, 3, side, side)) if one.ndim == 4]
        except (AssertionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"profile: encoder.name: {name} does not take images of {side} px ({error}): choose a network that "
                "takes images of any size"
            ) from None
        if found != [(1, count) for count in channels]:
            raise UserError(f"profile: encoder.name: {name} returns no maps with the channels first: choose another")


def fold_batch_norms(network: nn.Module) -> None:
    """Give each convolution the scale and shift of the batch normalisation that follows it, in place.

    In eval mode both are one affine map, so the outputs stay the same but for rounding (1e-6 of the largest value), and
    a pass over memory is saved: a third of EfficientNet-Lite0's time on a CPU. The activation that timm puts into its
    normalisation layers stays.

    Args:
        network: in eval mode; in each of its modules a normalisation must act on the convolution declared before it.
    """
    for (name, convolution), (norm_name, norm) in pairwise(list(network.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(network, name, fuse_conv_bn_eval(convolution, norm))
            setattr(network, norm_name, getattr(norm, "act", nn.Identity()))
    for child in network.children():
        fold_batch_norms(child)
