"""The frozen, pretrained encoder that several stages share, and images as its input."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stages.core.encoder.cache import TensorCache, key_of
from stages.core.encoder.engine import Engine
from stages.core.encoder.lite0_weights import build_lite0, copy_matching
from stages.core.images.reading import read_image, resize_image
from stages.core.run.errors import UserError

STRIDES = (4, 8, 16)  # pixels between cells of the features
STAGES = (1, 2, 3)  # timm's numbers of those strides; 0 is stride 2, and 4, stride 32, would be computed for nothing
LITE0 = "tf_efficientnet_lite0"
FEATURES = Path("work/features")  # git-ignored, no output of a stage: it may be deleted at any time
FEATURES_GIGABYTES = float(os.environ.get("ODDPART_FEATURES_GB", "6"))  # 1.2 of the sample products; 0: no cache
READ_AHEAD = 4  # images, while the one before is computed
LITE0_MEAN_STD = ((127 / 255,) * 3, (128 / 255,) * 3)  # as trained; ImageNet statistics weaken its predictions


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


class FrozenEncoder(nn.Module):
    """Feature maps of some stages of a pretrained network that is never trained.

    Attributes:
        channels: number of channels of each stage, at each of STRIDES by default.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, stages: Sequence[int] = STAGES) -> None:
        """Build the network and load its weights.

        Args:
            name: "tf_efficientnet_lite0" (weights from an installed package) or any timm model with weights on the
                hub and stages of stride 4, 8 and 16, e.g. "wide_resnet50_2.tv2_in1k".
            stages: timm's numbers; stage n has stride 2^(n + 1).

        Raises:
            UserError: the name is unknown or its weights are not available; never random weights.
        """
        super().__init__()
        self.name = name
        self.stages = tuple(stages)
        features = pretrained_features(name, stages)
        self.body = features.body.to(memory_format=torch.channels_last)
        self.channels = features.channels
        self.register_buffer("mean", torch.tensor(features.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(features.std).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()
        self._engine: Engine | None = None
        self._cache: TensorCache | None = None

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Stay in eval mode: BatchNorm keeps its ImageNet statistics whatever the surrounding module does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Compute features of the stages, at strides 4, 8 and 16 by default, of RGB images in [0, 1].

        On a CPU in ONNX Runtime, one image after the other, where the network can be exported; else in torch.
        """
        normalised = (images - self.mean) / self.std
        if images.device.type == "cpu" and self.engine.session((images.shape[-2], images.shape[-1])) is not None:
            rows = [self.engine.run(image[None]) for image in normalised]
            return [torch.cat(level) for level in zip(*rows, strict=True)]
        features: list[Tensor] = self.body(normalised.contiguous(memory_format=torch.channels_last))
        return features

    @torch.no_grad()
    def recall(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Return what `forward` does, from disk for images that any stage has encoded before.

        For images as they are in the data set; what is augmented at random would only fill the disk. On a GPU nothing
        is stored: there computing is as quick as reading.
        """
        if images.device.type != "cpu" or self.engine.session((images.shape[-2], images.shape[-1])) is None:
            return self.forward(images)
        rows = [self._recall_one(image[None]) for image in images]
        return [torch.cat(level) for level in zip(*rows, strict=True)]

    def _recall_one(self, image: Float[Tensor, "1 3 H W"]) -> list[Float[Tensor, "1 C h w"]]:
        key = key_of(image)
        stored = self.cache.get(key)
        if stored is not None:
            return [stored[str(level)] for level in range(len(stored))]
        features = self.forward(image)
        self.cache.put(key, {str(level): values for level, values in enumerate(features)})
        return features

    @property
    def engine(self) -> Engine:
        """The network in ONNX Runtime, made when it is first asked for."""
        if self._engine is None:
            self._engine = Engine(self.body, name=f"{self.name} {self.stages}")
        return self._engine

    @property
    def cache(self) -> TensorCache:
        """The features on disk, opened when they are first asked for."""
        if self._cache is None:
            statistics = f"{self.mean.flatten().tolist()} {self.std.flatten().tolist()}"
            stamp = f"{self.engine.fingerprint} {statistics}"
            self._cache = TensorCache(FEATURES, stamp, gigabytes=FEATURES_GIGABYTES)
        return self._cache


@dataclass(frozen=True)
class PretrainedFeatures:
    """A network that returns the feature maps of some stages, and the RGB statistics it was trained with."""

    body: nn.Module
    channels: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def pretrained_features(name: str, stages: Sequence[int] = STAGES) -> PretrainedFeatures:
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


def read_ahead(folder: Path, files: Iterable[str], *, size: int) -> Iterator[UInt8[Tensor, "1 3 S S"]]:
    """Yield images one by one as `load_stack` reads them; the next ones are decoded meanwhile, in a thread.

    Raises:
        UserError: a file cannot be read.
    """
    names = iter(files)
    with ThreadPoolExecutor(max_workers=1) as pool:

        def submit(count: int) -> list[Any]:
            return [pool.submit(load_stack, folder, [name], size=size) for name in islice(names, count)]

        waiting = submit(READ_AHEAD)
        while waiting:
            image = waiting.pop(0).result()
            waiting += submit(1)
            yield image


def load_stack(folder: Path, files: Iterable[str], *, size: int) -> UInt8[Tensor, "N 3 S S"]:
    """Read and resize images into one tensor of 8-bit RGB values (0.2 MB an image at 256 px).

    Raises:
        UserError: a file cannot be read.
    """
    return stack_images((read_image(folder / name) for name in files), size=size)


def stack_images(images: Iterable[UInt8[np.ndarray, "H W 3"]], *, size: int) -> UInt8[Tensor, "N 3 S S"]:
    """Resize images into one tensor."""
    resized = [torch.from_numpy(resize_image(image, size)) for image in images]
    return torch.stack(resized).permute(0, 3, 1, 2).contiguous()


def to_float(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Convert 8-bit values to float32 in [0, 1]."""
    return images.to(torch.float32) / 255.0
