"""What a pretrained network says of a patch: the target of the teacher."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.frozen_encoder.encoder import FrozenEncoder
from stages.core.running.errors import UserError

SMALLEST_DEVIATION = 1e-6  # of a number, as a share of the largest; smaller ones count as constant


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
        """Descriptors of patches that are normalised as the encoder was trained."""
        stages: list[Tensor] = self.encoder.body(patches.contiguous(memory_format=torch.channels_last))
        pooled = torch.cat([stage.mean(dim=(2, 3)) for stage in stages], dim=1)
        return (pooled - self.mean) / self.std

    def fit(self, patches: Float[Tensor, "B 3 p p"], *, standardise: bool) -> None:
        """See that training patches differ and, if asked, give their descriptors mean 0 and deviation 1, in place.

        A number that is the same for all patches keeps deviation 1.

        Raises:
            UserError: all patches have the same descriptor.
        """
        std, mean = torch.std_mean(self(patches), dim=0, correction=0)
        if not bool((std > SMALLEST_DEVIATION * mean.abs().max()).any()):
            raise UserError(
                f"{len(patches)} patches of the training images all look the same to {self.encoder.name}: there is "
                "nothing to learn from; take a larger patch or look at the files"
            )
        if standardise:
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > SMALLEST_DEVIATION * std.max(), std, torch.ones_like(std)))
