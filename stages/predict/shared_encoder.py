"""One encoder for all branches."""

import torch
from jaxtyping import Float
from torch import Tensor

from stages.core.frozen_encoder.encoder import FrozenEncoder


class SharedEncoder(FrozenEncoder):
    """Encodes an image once, though several branches ask for it one after the other.

    The same tensor object gives the same features; whoever uses it changes neither in place.
    """

    def __init__(self, name: str) -> None:
        """See FrozenEncoder."""
        super().__init__(name)
        self.last: tuple[Tensor, list[Tensor]] | None = None

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Features at strides 4, 8 and 16 of RGB images in [0, 1]."""
        if self.last is None or self.last[0] is not images:
            self.last = (images, super().forward(images))
        return self.last[1]
