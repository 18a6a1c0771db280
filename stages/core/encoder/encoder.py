"""The frozen, pretrained encoder that several stages share, and images as its input."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from stages.core.encoder.cache import TensorCache, key_of
from stages.core.encoder.engine import Engine, fingerprint_of_file, fingerprint_of_weights
from stages.core.encoder.lite0_weights import LITE0, LITE0_CHANNELS, LITE0_MEAN_STD, LITE0_STRIDES, weights_file
from stages.core.run.network import Network
from stages.core.run.parallel import on_all_cores
from stages.core.run.stage import count
from stages.core.runtime.reading import Size, read_image, resize_image

if TYPE_CHECKING:
    from stages.core.encoder.pretrained import PretrainedFeatures

STRIDES = (4, 8, 16)  # pixels between cells of the features; 2 and 32 would be computed for nothing
FEATURES = Path("work/features")  # git-ignored, no output of a stage: it may be deleted at any time
FEATURES_GIGABYTES = float(os.environ.get("ODDPART_FEATURES_GB", "6"))  # 1.2 of the sample products; 0: no cache


class FrozenEncoder(nn.Module):
    """Feature maps of some layers of a pretrained network that is never trained.

    Layers are asked for by stride. Blocks of a vision transformer, which all have the stride of its patches, stand for
    strides as the profile names them (`encoder.out_indices`), so that their maps are coarser than the strides say.

    Several threads may ask at once.

    Attributes:
        stages: timm's numbers of the layers.
        channels: number of channels of each.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        *,
        stages: Sequence[int] | None = None,
        strides: Sequence[int] = STRIDES,
        section: str = "encoder",
    ) -> None:
        """Find the weights.

        Args:
            name: "tf_efficientnet_lite0" (weights from an installed package) or any timm model that returns maps of
                features, e.g. "wide_resnet50_2.tv2_in1k", with what `stages.core.run.network.Network` may add.
            stages: timm's numbers, where stage n has stride 2^(n + 1); None: the layers that stand for `strides`.
            strides: of 4, 8, 16 and 32.
            section: of the profile that has the name, for messages.

        Raises:
            UserError: the name is unknown, the network has no such layers, or its weights are not available; never
                random weights.
        """
        super().__init__()
        self.name = name
        self._wanted = (replace(Network.parse(name), section=section), stages, tuple(strides))
        self._body: nn.Module | None = None
        if name == LITE0:  # what its graph needs is known without building it
            self.stages = tuple(stages) if stages is not None else tuple(LITE0_STRIDES.index(one) for one in strides)
            self.channels = tuple(LITE0_CHANNELS[stage] for stage in self.stages)
            mean, std = LITE0_MEAN_STD
            fingerprint = fingerprint_of_file(weights_file(), name=f"{name} {self.stages}")
        else:
            features = build(*self._wanted)
            self._body, self.stages, self.channels = features.body, features.stages, features.channels
            mean, std = features.mean, features.std
            fingerprint = fingerprint_of_weights(features.body, name=f"{self._wanted[0].name} {self.stages}")
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.engine = Engine(lambda: self.body, name=name, fingerprint=fingerprint)
        self._cache: TensorCache | None = None
        self._opening = Lock()
        self.eval()

    @property
    def body(self) -> nn.Module:
        """The network in torch, on the device of this module; built when it is first asked for."""
        with self._opening:
            if self._body is None:
                self._body = build(*self._wanted).body.to(self.mean.device)
            return self._body

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Stay in eval mode: BatchNorm keeps its ImageNet statistics whatever the surrounding module does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Compute features of the layers, those for strides 4, 8 and 16 by default, of RGB images in [0, 1].

        On a CPU in ONNX Runtime, each image by itself, where the network can be exported; else in torch.
        """
        count("encoder_passes", len(images))
        normalised = self.normalise(images)
        if images.device.type == "cpu" and self.engine.session((images.shape[-2], images.shape[-1])) is not None:
            single = normalised.split(1)
            rows = list(on_all_cores(self.engine.run, single)) if len(single) > 1 else [self.engine.run(normalised)]
            return [torch.cat(level) for level in zip(*rows, strict=True)]
        features: list[Tensor] = self.body(normalised)
        return features

    def normalise(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Normalise images in [0, 1] as this network was trained, laid out for convolutions."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def recall(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Return what `forward` does, from disk for images that any stage has encoded before.

        For images as they are in the data set; what is augmented at random would only fill the disk. On a GPU nothing
        is stored: there computing is as quick as reading.
        """
        if images.device.type != "cpu" or self.engine.session((images.shape[-2], images.shape[-1])) is None:
            return self.forward(images)
        single = images.split(1)
        rows = list(on_all_cores(self._recall_one, single)) if len(single) > 1 else [self._recall_one(images)]
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
    def cache(self) -> TensorCache:
        """The features on disk, opened when they are first asked for."""
        with self._opening:
            if self._cache is None:
                statistics = f"{self.mean.flatten().tolist()} {self.std.flatten().tolist()}"
                stamp = f"{self.engine.fingerprint} {statistics}"
                self._cache = TensorCache(FEATURES, stamp, gigabytes=FEATURES_GIGABYTES)
            return self._cache


def build(network: Network, stages: Sequence[int] | None, strides: Sequence[int]) -> "PretrainedFeatures":
    """Build a network that never learns, and what is known of it.

    Raises:
        UserError: see `pretrained_features`.
    """
    from stages.core.encoder.pretrained import pretrained_features  # imports timm: seconds that a graph saves

    # Drawing initial weights must not move the random numbers of who asked: a graph at hand draws none.
    with torch.random.fork_rng(devices=[]):
        features = pretrained_features(network, stages=stages, strides=strides)
    features.body.to(memory_format=torch.channels_last).requires_grad_(False).eval()
    return features


def read_ahead(folder: Path, files: Iterable[str], *, size: Size) -> Iterator[UInt8[Tensor, "1 3 h w"]]:
    """Yield images one by one as `load_stack` reads them; the next ones are decoded meanwhile.

    Raises:
        UserError: a file cannot be read.
    """
    return on_all_cores(lambda name: stack_images([read_image(folder / name)], size=size), files)


def load_stack(folder: Path, files: Iterable[str], *, size: Size) -> UInt8[Tensor, "N 3 h w"]:
    """Read and resize images into one tensor of 8-bit RGB values (0.2 MB an image at 256 px).

    Raises:
        UserError: a file cannot be read.
    """
    return torch.cat(list(read_ahead(folder, files, size=size)))


def stack_images(images: Iterable[UInt8[np.ndarray, "H W 3"]], *, size: Size) -> UInt8[Tensor, "N 3 h w"]:
    """Resize images into one tensor."""
    resized = [torch.from_numpy(resize_image(image, size)) for image in images]
    return torch.stack(resized).permute(0, 3, 1, 2).contiguous()


def to_float(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Convert 8-bit values to float32 in [0, 1]."""
    return images.to(torch.float32) / 255.0
