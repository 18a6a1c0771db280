"""The local student: sees 33 pixels, so it cannot know what belongs where."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LocalStudent(nn.Module):
    """Patch description network with a receptive field of exactly 33 pixels and two heads.

    CSAD's `LocalStudent` with padding: widths (256, 512, 512, 512, dim), stride 4, pooling, no batch normalisation. The
    rest is ours, for the embedded profile. Without pooling a 5x5 convolution of stride 2 stands for each 4x4
    convolution and its 2x2 average: the same receptive field for a third of the work.
    """

    reads: ClassVar[Literal["image", "stem"]] = "image"

    def __init__(
        self, widths: Sequence[int], *, pooling: bool, stride: int, dim: int, map_size: int, batch_norm: bool
    ) -> None:
        """Build the network.

        Args:
            widths: channels of the five convolutions.
            stride: pixels between neighbouring outputs, 4 or 8; 8 is enough where `map_size` is an eighth of the image.
            dim: channels of each head; map_size: height and width of the outputs.
        """
        super().__init__()
        first, second, third, fourth, fifth = widths
        self.map_size = map_size
        self.pooling = pooling
        self.conv1 = nn.Conv2d(3, first, 4, padding=3) if pooling else nn.Conv2d(3, first, 5, stride=2, padding=5)
        self.conv2 = (
            nn.Conv2d(first, second, 4, padding=3) if pooling else nn.Conv2d(first, second, 5, stride=2, padding=3)
        )
        self.conv3 = nn.Conv2d(second, third, 1)
        self.conv4 = nn.Conv2d(third, fourth, 3, padding=1)
        self.conv5 = nn.Conv2d(fourth, fifth, 4, stride=stride // 4)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) if batch_norm else nn.Identity() for width in widths)
        self.teacher_head = nn.Conv2d(fifth, dim, 1)
        self.global_head = nn.Conv2d(fifth, dim, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C M M"]:
        """The features both heads read, for images normalised like the encoder's input."""
        x = self.downsample(F.relu(self.norms[0](self.conv1(images))))
        x = self.downsample(F.relu(self.norms[1](self.conv2(x))))
        x = F.relu(self.norms[2](self.conv3(x)))
        x = F.relu(self.norms[3](self.conv4(x)))
        x = F.relu(self.norms[4](self.conv5(x)))
        return F.interpolate(x, (self.map_size, self.map_size), mode="bilinear")

    def downsample(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Average 2x2 cells (the zero padding counts) where the convolutions have no stride."""
        return F.avg_pool2d(x, 2, stride=2, padding=1) if self.pooling else x
