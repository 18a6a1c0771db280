"""The students' networks: two local ones, which see small windows only, and the global one, which sees the whole image.

A local student cannot know what belongs where: `LocalStudent` sees 33 pixels, `StemStudent` is cheaper and starts from
the encoder's first layers. `GlobalStudent` knows what belongs where; it may have self-attention over its cells.
"""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ENCODER_ATTENTION = (3, 4)  # after the blocks that give 16x16 and 8x8 cells at 256 px
INPUT_SIZE = 256


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
        """Return the features that both heads read, for images normalised like the encoder's input."""
        x = self.downsample(F.relu(self.norms[0](self.conv1(images))))
        x = self.downsample(F.relu(self.norms[1](self.conv2(x))))
        x = F.relu(self.norms[2](self.conv3(x)))
        x = F.relu(self.norms[3](self.conv4(x)))
        x = F.relu(self.norms[4](self.conv5(x)))
        return resize(x, self.map_size)

    def downsample(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Average 2x2 cells (the zero padding counts) where the convolutions have no stride."""
        return F.avg_pool2d(x, 2, stride=2, padding=1) if self.pooling else x


class StemStudent(nn.Module):
    """Two convolutions on the frozen encoder's stride-4 features, and two heads.

    Not in the publications, where the student sees the image. The first layers of any pretrained network see edges and
    colours in a small window; learning those again is most of the work of `LocalStudent`. With the 19-pixel window
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
        """Return the features that both heads read, from the encoder's features at stride 4."""
        return resize(self.layers(stem), self.map_size)


class SelfAttention(nn.Module):
    """y = x + W_o softmax(Q Kᵀ / sqrt(d)) V with tokens = cells and d = channels.

    AeCSAD thesis, section 4.7.1 and equation 3.5: no layer norm, no positional code. The projections' biases and
    d = channels are our choice; the thesis does not give them.
    """

    def __init__(self, channels: int) -> None:
        """Build the four projections, all of `channels` to `channels`."""
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)

    def weights(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H*W H*W"]:
        """Return softmax(Q Kᵀ / sqrt(d)): row i is how much cell i takes from each cell; rows sum to 1."""
        tokens = x.flatten(2).transpose(1, 2)
        similarity: Tensor = self.query(tokens) @ self.key(tokens).transpose(1, 2)
        return (similarity / math.sqrt(x.shape[1])).softmax(dim=-1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Mix every cell with all others, in the same shape.

        Written out, as torch's own takes four times as long for so few cells on a CPU, most of it for the gradient.
        """
        attended: Tensor = self.out(self.weights(x) @ self.value(x.flatten(2).transpose(1, 2)))
        return x + attended.transpose(1, 2).reshape(x.shape)


class GlobalStudent(nn.Module):
    """Convolutional autoencoder of CSAD, with AeCSAD's changes switched on one by one.

    attention=False, bottleneck=True is CSAD's `AutoEncoder`: an 8x8 valid convolution squeezes the code to 1x1.
    attention=True, bottleneck=False is AeCSAD (thesis 4.7.1, 5.2): self-attention at 16x16 and 8x8 in the encoder and
    at intermediate sizes in the decoder, and a code of 8x8 cells. The other two combinations separate the two changes.
    """

    def __init__(
        self,
        width: int,
        *,
        dim: int,
        map_size: int,
        decoder_steps: Sequence[int],
        attended_steps: Sequence[int],
        attention: bool,
        bottleneck: bool,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        """Build the network for images of 256 px.

        Args:
            width: channels of the code; the first two blocks have half as many (64 in the publications).
            dim: channels of the output; map_size: its height and width.
            decoder_steps: map sizes to upsample to before each 4x4 convolution; (3, 8, 15, 32, 63, 127) in CSAD.
            attended_steps: those of them after which attention acts, if at all; the thesis gives no sizes.
        """
        super().__init__()
        self.map_size = map_size
        self.decoder_steps = tuple(decoder_steps)
        self.dropout = dropout
        widths = (3, width // 2, width // 2, width, width, width)
        self.encoder = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.code = nn.Conv2d(width, width, 8) if bottleneck else nn.Conv2d(width, width, 3, padding=1)
        self.decoder = nn.ModuleList(nn.Conv2d(width, width, 4, padding=2) for _ in decoder_steps)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Conv2d(width, dim, 3, padding=1)
        self.encoder_norms = nn.ModuleList(norm(after, batch_norm) for after in widths[1:])
        self.decoder_norms = nn.ModuleList(norm(width, batch_norm) for _ in decoder_steps)
        self.encoder_attention = nn.ModuleList(
            SelfAttention(width) if attention and block in ENCODER_ATTENTION else nn.Identity() for block in range(5)
        )
        self.decoder_attention = nn.ModuleList(
            SelfAttention(width) if attention and step in attended_steps else nn.Identity() for step in decoder_steps
        )

    def forward(self, images: Float[Tensor, "B 3 256 256"]) -> Float[Tensor, "B D M M"]:
        """Predict the teacher features of images normalised like the encoder's input.

        Raises:
            ValueError: the images are not 256x256, for which the layers are laid out.
        """
        if images.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
            raise ValueError(
                f"the global student needs {INPUT_SIZE}x{INPUT_SIZE} images, got {tuple(images.shape[-2:])}"
            )
        x = images
        for convolution, batch_norm, attention in zip(
            self.encoder, self.encoder_norms, self.encoder_attention, strict=True
        ):
            x = attention(F.relu(batch_norm(convolution(x))))
        x = self.code(x)
        for step, convolution, batch_norm, attention in zip(
            self.decoder_steps, self.decoder, self.decoder_norms, self.decoder_attention, strict=True
        ):
            x = F.relu(batch_norm(convolution(resize(x, step))))
            x = attention(F.dropout(x, self.dropout, self.training))
        x = F.relu(self.refine(resize(x, self.map_size)))
        features: Tensor = self.head(x)
        return features


def norm(channels: int, batch_norm: bool) -> nn.Module:
    """Return batch normalisation, or nothing."""
    return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()


def resize(x: Float[Tensor, "B C H W"], size: int) -> Float[Tensor, "B C S S"]:
    """Resize to `size` x `size` cells, bilinear; x itself where it has them, as F.interpolate would return a copy."""
    return x if x.shape[-2:] == (size, size) else F.interpolate(x, (size, size), mode="bilinear")
