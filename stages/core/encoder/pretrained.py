"""Pretrained networks as feature extractors: timm's, with weights from an installed package or from the hub.

timm takes seconds to import. A network whose graph is at hand runs without it (`stages.core.encoder.engine`), so that
only what builds networks imports this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import timm
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stages.core.encoder.lite0_weights import LITE0, LITE0_MEAN_STD, build_lite0, copy_matching
from stages.core.run.errors import UserError


@dataclass(frozen=True)
class PretrainedFeatures:
    """A network that returns the feature maps of some stages, and the RGB statistics it was trained with."""

    body: nn.Module
    channels: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def pretrained_features(name: str, stages: Sequence[int]) -> PretrainedFeatures:
    """Build timm's feature extractor of a network and load its pretrained weights.

    Raises:
        UserError: the name is unknown, the network has no stages of these strides, or its weights are not available.
    """
    body: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    if name == LITE0:
        body = timm.create_model(name, features_only=True, out_indices=tuple(stages))
        copy_matching(body, build_lite0().state_dict())
        fold_batch_norms(body.eval())
        mean, std = LITE0_MEAN_STD
    else:
        source = published_weights(name)
        body = hub_body(name, stages, repository=source.hf_hub_id)
        mean, std = source.mean, source.std
    strides, needed = tuple(body.feature_info.reduction()), tuple(2 ** (stage + 1) for stage in stages)
    if strides != needed:
        raise UserError(f"profile: encoder.name: {name} has stages at strides {strides}, needed are {needed}")
    return PretrainedFeatures(body, tuple(body.feature_info.channels()), mean, std)


def published_weights(name: str) -> timm.models.PretrainedCfg:
    """Return where timm has the weights of `name` from, and their preprocessing.

    Raises:
        UserError: timm knows no such network, or no weights for it.
    """
    try:
        source = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # the part of the name after the point is unknown
        source = None
    if source is None or not source.has_weights:
        raise UserError(f"profile: encoder.name: timm {timm.__version__} has no pretrained weights for {name!r}")
    return source


def hub_body(name: str, stages: Sequence[int], *, repository: str | None) -> nn.Module:
    """Build a feature extractor whose weights come from the hub or its cache, never random ones.

    Raises:
        UserError: they are not available.
    """
    try:
        body: nn.Module = timm.create_model(name, pretrained=True, features_only=True, out_indices=tuple(stages))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights of {name} could not be loaded ({type(error).__name__}: {error}): fetch them once with "
            f"`hf download {repository}` on a machine with network access, or copy its hub cache here"
        ) from None
    return body


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
