"""The global student: sees the whole image, so it knows what belongs where."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.networks.self_attention import SelfAttention

ENCODER_ATTENTION = (3, 4)  # after the blocks that give 16x16 and 8x8 cells at 256 px
INPUT_SIZE = 256


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
        """Predicted teacher features of images normalised like the encoder's input.

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
            x = F.relu(batch_norm(convolution(F.interpolate(x, (step, step), mode="bilinear"))))
            x = attention(F.dropout(x, self.dropout, self.training))
        x = F.relu(self.refine(F.interpolate(x, (self.map_size, self.map_size), mode="bilinear")))
        features: Tensor = self.head(x)
        return features


def norm(channels: int, batch_norm: bool) -> nn.Module:
    """Batch normalisation, or nothing."""
    return nn.BatchNorm2d(channels) if batch_norm else nn.Identity()
