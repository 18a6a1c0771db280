"""All that MadCLIP trains: a normal and an abnormal adapter of the tokens of each block, and the texts' contexts."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stages.clip.madclip.params import VARIANTS, Learned, VariantName
from stages.clip.madclip.prompts import LearnedTexts
from stages.clip.model.encoder import ClipEncoder

BLOCK_COUNT = 4


@dataclass(frozen=True)
class Similarities:
    """(S_n, S_ab) of each patch by block, in [-2, 2]: detection for the image score, segmentation for the map."""

    detection: Float[Tensor, "L B P 2"]
    segmentation: Float[Tensor, "L B P 2"]


class Adapter(nn.Module):
    """Shared first layer, then one projection for detection and one for segmentation, all without biases.

        h = LN(a(W1 x)),   det = a(W2 h),   seg = a(W3 h)

    a is LeakyReLU and LN a layer norm without weights in the published code; the paper has ReLU and no LN. The code's
    InstanceNorm1d is a layer norm in effect, because it gets tokens where it expects channels.
    """

    def __init__(self, width: int, embed_dim: int, *, leak: float, normalise_hidden: bool) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(width, width, bias=False), nn.LeakyReLU(leak))
        self.fc2 = nn.Sequential(nn.Linear(width, embed_dim, bias=False), nn.LeakyReLU(leak))
        self.fc3 = nn.Sequential(nn.Linear(width, embed_dim, bias=False), nn.LeakyReLU(leak))
        self.normalise_hidden = normalise_hidden

    def forward(self, tokens: Float[Tensor, "B T W"]) -> tuple[Float[Tensor, "B T E"], Float[Tensor, "B T E"]]:
        """Return (detection, segmentation), not normalised."""
        hidden = self.fc1(tokens)
        if self.normalise_hidden:
            hidden = F.layer_norm(hidden, hidden.shape[-1:])
        return self.fc2(hidden), self.fc3(hidden)


class DualAdapters(nn.Module):
    """A normal and an abnormal adapter for each block; the names of the tensors are those of the published files.

    Attributes:
        arguments: rebuild the module; plain JSON values.
    """

    def __init__(self, *, width: int, embed_dim: int, leak: float, normalise_hidden: bool) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "width": width, "embed_dim": embed_dim, "leak": leak, "normalise_hidden": normalise_hidden,
        }  # fmt: skip
        self.normal_det_adapters = nn.ModuleList(
            Adapter(width, embed_dim, leak=leak, normalise_hidden=normalise_hidden) for _ in range(BLOCK_COUNT)
        )
        self.abnormal_det_adapters = nn.ModuleList(
            Adapter(width, embed_dim, leak=leak, normalise_hidden=normalise_hidden) for _ in range(BLOCK_COUNT)
        )

    def forward(self, tokens: Float[Tensor, "B L T W"], texts: Float[Tensor, "E 2"]) -> Similarities:
        """Compare each patch with the difference of the texts, in both branches.

            S_n = O_n . (t_n - t_ab),    S_ab = O_ab . (t_ab - t_n)

        without a temperature; O are unit adapter outputs, without the class token.
        """
        difference = texts[:, 0] - texts[:, 1]
        detection: list[Tensor] = []
        segmentation: list[Tensor] = []
        for block in range(BLOCK_COUNT):
            own = tokens[:, block]
            pairs = zip(self.normal_det_adapters[block](own), self.abnormal_det_adapters[block](own), strict=True)
            for found, (normal, abnormal) in zip((detection, segmentation), pairs, strict=True):
                found.append(torch.stack([compare(normal, difference), compare(abnormal, -difference)], dim=-1))
        return Similarities(torch.stack(detection), torch.stack(segmentation))


def compare(features: Float[Tensor, "B T E"], direction: Float[Tensor, " E"]) -> Float[Tensor, "B P"]:
    """Project each patch's unit feature on a direction, in float32, without the class token."""
    patches = features[:, 1:].float()
    return torch.div((patches * direction).sum(dim=-1), torch.linalg.vector_norm(patches, dim=-1))


class MadClip(nn.Module):
    """The trained part next to a frozen CLIP.

    Attributes:
        arguments: rebuild the module next to an encoder; plain JSON values.
    """

    def __init__(self, encoder: ClipEncoder, *, name: str, variant: VariantName, learned: Learned) -> None:
        """Build untrained adapters and contexts.

        Args:
            encoder: a frozen CLIP.
            name: of the object, in words.
            variant: see `Variant`.
            learned: see `LearnedTexts`.

        Raises:
            UserError: the name has no token or is too long.
        """
        super().__init__()
        self.arguments: dict[str, Any] = {"name": name, "variant": variant, "learned": learned}
        chosen = VARIANTS[variant]
        self.adapters = DualAdapters(
            width=encoder.vision_width, embed_dim=encoder.embed_dim, leak=chosen.leak,
            normalise_hidden=chosen.normalise_hidden,
        )  # fmt: skip
        self.texts = LearnedTexts(encoder, name=name, positions=chosen.positions, learned=learned)

    def forward(self, tokens: Float[Tensor, "B L T W"], encoder: ClipEncoder) -> Similarities:
        """Compute the similarities of each patch; the texts are encoded again, because training moves them."""
        found: Similarities = self.adapters(tokens, self.texts(encoder))
        return found
