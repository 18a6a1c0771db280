"""A small network that tells patches of damaged normal images from patches of normal ones.

Nearest neighbours know what normal patches are like and nothing of what else there is. A discriminator (as in
SimpleNet, Liu et al., CVPR 2023) has seen some of that. By itself it is the weaker judge of what it has not learned
from; added to distances it raises what looks damaged, and lowers what is only rare.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stages.core.neighbours.whitening import Whitening

BOUND = 5.0  # of whitened values, in standard deviations: what is far outside must not rule


@dataclass(frozen=True)
class Discriminator:
    """A network of one hidden layer on each patch by itself.

        f(x) = relu(clamp(whitening(x)) A + a) b + c

    Attributes:
        whitening: of patches; that of the bank's whitened view.
        hidden, hidden_bias: A and a.
        output, output_bias: b and c, in the unit of the distances that it is added to.
    """

    whitening: Whitening
    hidden: Float[Tensor, "C n"]
    hidden_bias: Float[Tensor, " n"]
    output: Float[Tensor, " n"]
    output_bias: Float[Tensor, ""]

    def __call__(self, patches: Float[Tensor, "h w C"]) -> Float[Tensor, "h w"]:
        """Return what is added to the distance of each patch."""
        seen = self.whitening(patches).clamp(-BOUND, BOUND)
        return torch.relu(seen @ self.hidden + self.hidden_bias) @ self.output + self.output_bias

    def to(self, device: torch.device) -> "Discriminator":
        """Return it on a device."""
        weights = (self.hidden, self.hidden_bias, self.output, self.output_bias)
        return Discriminator(self.whitening.to(device), *(one.to(device) for one in weights))
