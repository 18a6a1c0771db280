"""A pretrained network's own early stages as the teacher, and students that describe an image at the same strides.

Early stages see a limited window, as a patch network does: of EfficientNet-Lite0's, a cell of stride 4 sees 19 pixels,
one of stride 8 sees 67; one of stride 16 sees 339, mostly the middle of them. Nothing is distilled, so that the teacher
knows all that its network learned from ImageNet.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from stages.core.encoder.device import mixed_precision
from stages.core.encoder.encoder import FrozenEncoder, to_float

BASE_WIDTH = 64  # channels of students at stride 4 for `width` 1; twice as many at each further stage
StageMaps = list[Float[Tensor, "B C h w"]]


class StageTeacher(nn.Module):
    """Feature maps of a frozen encoder, each channel with mean 0 and variance 1 once it is normalised.

    Attributes:
        dims: channels of each stage by its name, "stride_8" and so on.
    """

    def __init__(self, encoder: FrozenEncoder) -> None:
        """Put shift 0 and factor 1 behind an encoder."""
        super().__init__()
        self.encoder = encoder
        self.dims = {stage_name(stage): count for stage, count in zip(encoder.stages, encoder.channels, strict=True)}
        for stage, count in zip(encoder.stages, encoder.channels, strict=True):
            self.register_buffer(f"mean_{stage}", torch.zeros(count))
            self.register_buffer(f"factor_{stage}", torch.ones(count))

    def raw(self, images: UInt8[Tensor, "B 3 S S"], *, kept: bool) -> StageMaps:
        """Compute the encoder's features.

        Args:
            images: 8-bit RGB; the encoder has its own normalisation.
            kept: whether the images are those of the data set, whose features are kept on disk.
        """
        values = to_float(images).to(self.encoder.mean.device)
        return self.encoder.recall(values) if kept else self.encoder(values)

    def scales(self) -> dict[str, Tensor]:
        """Return shift and factor of each stage by name, without the encoder, whose weights are published ones."""
        kept = ((f"{name}_{stage}") for stage in self.encoder.stages for name in ("mean", "factor"))
        return {name: getattr(self, name) for name in kept}

    @torch.no_grad()
    def forward(self, images: UInt8[Tensor, "B 3 S S"], *, kept: bool) -> StageMaps:
        """Compute T^ of each stage."""
        return self.scaled(self.raw(images, kept=kept))

    def scaled(self, features: Sequence[Float[Tensor, "B C h w"]]) -> StageMaps:
        """Return T^ for the encoder's features."""
        found = []
        for stage, values in zip(self.encoder.stages, features, strict=True):
            mean, factor = getattr(self, f"mean_{stage}"), getattr(self, f"factor_{stage}")
            found.append((values - mean.view(1, -1, 1, 1)) * factor.view(1, -1, 1, 1))
        return found


def stage_name(stage: int) -> str:
    """Name a stage by its stride, e.g. "stride_8"."""
    return f"stride_{2 ** (stage + 1)}"


class StageStudent(nn.Module):
    """A plain convolutional network of stride 2, 4, 8 ... with a linear head at each of the teacher's stages.

    At each resolution a 3 x 3 convolution of stride 2, then as many of stride 1 as the stage's number; batch
    normalisation and ReLU behind each. To stride 8 a cell sees 55 pixels. The published students have the layout of
    their teacher, whose depthwise convolutions would cost six times as much here.

    Attributes:
        arguments: rebuild the module; plain JSON values.
    """

    def __init__(self, stages: Sequence[int], channels: Sequence[int], *, width: float) -> None:
        """Build the network in PyTorch's default initialisation, from torch's global generator.

        Args:
            stages: the teacher's, timm's numbers; stage n has stride 2^(n + 1).
            channels: of the teacher's stages.
            width: factor on the channels, rounded to even numbers.
        """
        super().__init__()
        self.arguments: dict[str, Any] = {"stages": list(stages), "channels": list(channels), "width": width}
        self.stages = tuple(stages)
        widths = [
            2 * max(1, round(BASE_WIDTH * width * 2 ** max(0, stage - 1) / 2)) for stage in range(max(stages) + 1)
        ]
        self.steps = nn.ModuleList(
            nn.Sequential(
                convolution(before, after, stride=2), *(convolution(after, after, stride=1) for _ in range(stage))
            )
            for stage, (before, after) in enumerate(zip([3, *widths[:-1]], widths, strict=True))
        )
        self.heads = nn.ModuleList(
            nn.Conv2d(widths[stage], count, 1) for stage, count in zip(stages, channels, strict=True)
        )

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> StageMaps:
        """Describe images at each stage; in mixed precision but for scores on a CPU, returned in float32."""
        found, x = [], images
        precise = images.device.type == "cpu" and not self.training  # scores are those of a bundle, in float32
        with nullcontext() if precise else mixed_precision(images.device):
            for step in self.steps:
                x = step(x)
                found.append(x)
            return [head(found[stage]).float() for stage, head in zip(self.stages, self.heads, strict=True)]


def convolution(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    """Build a 3 x 3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
