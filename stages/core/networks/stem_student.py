"""A cheap local student that starts from the encoder's first layers instead of from pixels."""

from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class StemStudent(nn.Module):
    """Two convolutions on the frozen encoder's stride-4 features, and two heads.

    Not in the publications, where the student sees the image. The first layers of any pretrained network see edges and
    colours in a small window; learning those anew is most of the work of `LocalStudent`. With the 19-pixel window
    of EfficientNet-Lite0 at stride 4, a cell at stride 8 sees 39 pixels, little more than the published 33.
    """

    reads: ClassVar[Literal["image", "stem"]] = "stem"

    def __init__(self, width: int, *, channels: int, dim: int, map_size: int) -> None:
        """Build the network.

        Args:
            width: channels of the first convolution; the second has twice as many.
            channels: of the encoder's features at stride 4.
            dim: channels of each head; map_size: height and width of the outputs.
        """
        super().__init__()
        self.map_size = map_size
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels, affine=False),  # the encoder's channels differ in scale
            nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 1), nn.BatchNorm2d(2 * width), nn.ReLU(),
        )  # fmt: skip
        self.teacher_head = nn.Conv2d(2 * width, dim, 1)
        self.global_head = nn.Conv2d(2 * width, dim, 1)

    def forward(self, stem: Float[Tensor, "B C h w"]) -> Float[Tensor, "B D M M"]:
        """The features both heads read, from the encoder's features at stride 4."""
        return F.interpolate(self.layers(stem), (self.map_size, self.map_size), mode="bilinear")
