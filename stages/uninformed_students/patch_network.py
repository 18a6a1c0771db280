"""Networks that describe a patch of p x p pixels, alone or around every pixel of an image at once.

`PatchNetwork` is trained, as teacher and as student; `Backbone` is pretrained, and the teacher's target.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.encoder.device import mixed_precision
from stages.core.encoder.encoder import FrozenEncoder
from stages.core.run.errors import UserError

SLOPE = 0.005  # of the leaky ReLU after every convolution
# Per patch size, the published layers in order: (kernel, channels) of a convolution, None for a 2x2 max pool of
# stride 2. Bergmann et al., "Uninformed Students", CVPR 2020. Pools round down, so the last rows and columns of a patch
# of 33 or 65 px are not seen: 32 and 60 are.
LAYERS: dict[int, tuple[tuple[int, int] | None, ...]] = {
    17: ((6, 128), (5, 256), (5, 256), (4, 128)),
    33: ((5, 128), None, (5, 256), None, (2, 256), (4, 128)),
    65: ((5, 128), None, (5, 128), None, (5, 256), None, (4, 256), (1, 128)),
}
PATCH_SIZES = tuple(LAYERS)
SMALLEST_DEVIATION = 1e-6  # of a number, as a share of the largest; smaller ones count as constant


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the output, and the part of the padded image that they need."""

    rows: slice
    columns: slice
    seen: tuple[slice, slice]


class PatchNetwork(nn.Module):
    """Teacher and student: a p x p patch becomes one descriptor of `dim` numbers.

    Published layers, without padding or normalisation, a leaky ReLU behind each convolution and a linear decoder behind
    the last: the targets of students have zero mean, which a leaky ReLU of slope 0.005 could hardly reach.

    Attributes:
        arguments: rebuild the module; plain JSON values.
    """

    def __init__(self, patch_size: int, *, dim: int, width: float = 1.0) -> None:
        """Build the network in PyTorch's default initialisation, from torch's global generator.

        Args:
            patch_size: 17, 33 or 65.
            dim: of the descriptor; 512 in the publication's decoder.
            width: factor on the published channels, rounded, at least one channel each.

        Raises:
            ValueError: another patch size.
        """
        super().__init__()
        if patch_size not in LAYERS:
            raise ValueError(f"patch size {patch_size}: there are networks for {', '.join(map(str, LAYERS))} pixels")
        self.arguments: dict[str, Any] = {"patch_size": patch_size, "dim": dim, "width": width}
        self.patch_size = patch_size
        self.layers = LAYERS[patch_size]
        channels = [3, *(max(1, round(width * layer[1])) for layer in self.layers if layer is not None)]
        kernels = [layer[0] for layer in self.layers if layer is not None]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel)
            for before, after, kernel in zip(channels[:-1], channels[1:], kernels, strict=True)
        )
        self.decode = nn.Conv2d(channels[-1], dim, 1)

    def precision(self, device: torch.device) -> torch.autocast:
        """Return a context in which the network runs in bfloat16 where that is faster and safe.

        With an odd number of channels oneDNN's bfloat16 convolutions may fail on a CPU, which joins channels in pairs.
        """
        channels = [one.out_channels for one in (*self.convolutions, self.decode) if isinstance(one, nn.Conv2d)]
        if device.type == "cpu" and any(number % 2 for number in channels):
            return torch.autocast("cpu", enabled=False)
        return mixed_precision(device)

    def forward(self, patches: Float[Tensor, "B 3 p p"]) -> Float[Tensor, "B D"]:
        """Describe patches, each seen alone.

        Raises:
            ValueError: the patches are of another size.
        """
        if patches.shape[-2:] != (self.patch_size, self.patch_size):
            raise ValueError(f"patches of {tuple(patches.shape[-2:])} pixels for a network of {self.patch_size}")
        x, convolutions = patches, iter(self.convolutions)
        for layer in self.layers:
            x = F.max_pool2d(x, 2) if layer is None else F.leaky_relu(next(convolutions)(x), SLOPE)
        described: Tensor = self.decode(x)
        return described.flatten(1)

    def dense(self, images: Float[Tensor, "B 3 H W"], *, stride: int = 1) -> Float[Tensor, "B D h w"]:
        """Describe the patch around each pixel: what `forward` returns for all patches, in one pass.

        The image is padded once with zeros, which is the mean colour after normalisation, so that patches at its border
        are whole. Fast dense feature extraction (Bailer et al., "Fast Dense Feature Extraction with CNNs that have
        Pooling or Striding Layers", 2017), in the form with dilated layers.

        Args:
            images: any height and width.
            stride: pixels between neighbouring descriptors, a power of two; h = ceil(H / stride).
        """
        height, width = images.shape[-2:]
        cells = (-(-height // stride), -(-width // stride))
        return self.on_padded(self.pad(images), stride=stride)[..., : cells[0], : cells[1]]

    def pad(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 _H _W"]:
        """Add zeros around the image, one less in all than a patch has pixels a side."""
        before, after = self.patch_size // 2, (self.patch_size - 1) // 2
        return F.pad(images, (before, after, before, after))

    def on_padded(self, padded: Float[Tensor, "B 3 _H _W"], *, stride: int) -> Float[Tensor, "B D h w"]:
        """Describe all patches of an image that is padded already; there may be too many rows and columns at the end.

        A pool takes its stride while `stride` asks for it. From then on pools go pixel by pixel, and what follows is
        dilated by two for each of them, so that every layer meets the values it would meet in a patch.
        """
        x, dilation, left, convolutions = padded, 1, stride, iter(self.convolutions)
        last = max(number for number, layer in enumerate(self.layers) if layer is not None and layer[0] > 1)
        for number, layer in enumerate(self.layers):
            if layer is None and left > 1:
                x, left = F.max_pool2d(x, 2), left // 2
            elif layer is None:
                x, dilation = F.max_pool2d(x, 2, stride=1, dilation=dilation), 2 * dilation
            else:
                convolution = next(convolutions)
                assert isinstance(convolution, nn.Conv2d)
                steps, left = (left, 1) if number == last else (1, left)
                # behind the pools, which keep the order of values: the same numbers as before them, but fewer
                x = x if number == 0 else F.leaky_relu(x, SLOPE)
                x = F.conv2d(x, convolution.weight, convolution.bias, stride=steps, dilation=dilation)
        described: Tensor = self.decode(F.leaky_relu(x, SLOPE))
        return described

    def describe_tile(self, padded: Float[Tensor, "B 3 _H _W"], tile: Tile, *, stride: int) -> Float[Tensor, "B D h w"]:
        """Compute the part of `dense` in a tile; equal to it, because the image is padded before it is cut."""
        rows, columns = tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        return self.on_padded(padded[(..., *tile.seen)], stride=stride)[..., :rows, :columns]

    def tiles(self, height: int, width: int, *, stride: int, side: int) -> Iterator[Tile]:
        """Yield squares of the output of at most `side` pixels of the image; together they cover it once.

        Args:
            side: a multiple of `stride`.
        """
        reach = self.patch_size - 1
        for top in range(0, height, side):
            for left in range(0, width, side):
                bottom, right = min(top + side, height), min(left + side, width)
                yield Tile(
                    slice(top // stride, -(-bottom // stride)),
                    slice(left // stride, -(-right // stride)),
                    (slice(top, bottom + reach), slice(left, right + reach)),
                )


class Backbone(nn.Module):
    """Features of a frozen encoder, averaged over the patch; stages are joined.

    Published are the 512 numbers of ResNet-18's last stage. EfficientNet's channels differ in scale by orders of
    magnitude, so that a plain squared error would see the loudest ones only: `fit` can standardise them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: FrozenEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.dim = sum(encoder.channels)
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("std", torch.ones(self.dim))

    @torch.no_grad()
    def forward(self, patches: Float[Tensor, "B 3 p p"]) -> Float[Tensor, "B D"]:
        """Describe patches that are normalised as the encoder was trained."""
        stages: list[Tensor] = self.encoder.body(patches.contiguous(memory_format=torch.channels_last))
        pooled = torch.cat([stage.mean(dim=(2, 3)) for stage in stages], dim=1)
        return (pooled - self.mean) / self.std

    def fit(self, patches: Float[Tensor, "B 3 p p"], *, standardise: bool) -> None:
        """Check that training patches differ and, if asked, give their descriptors mean 0 and deviation 1, in place.

        A number that is the same for all patches keeps deviation 1.

        Raises:
            UserError: all patches have the same descriptor.
        """
        std, mean = torch.std_mean(self(patches), dim=0, correction=0)
        if not bool((std > SMALLEST_DEVIATION * mean.abs().max()).any()):
            raise UserError(
                f"{len(patches)} patches of the training images all have the same features in {self.encoder.name}: "
                "there is nothing to learn from; take a larger patch or look at the files"
            )
        if standardise:
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > SMALLEST_DEVIATION * std.max(), std, torch.ones_like(std)))
