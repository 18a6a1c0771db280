"""All that MadCLIP trains: dual adapters and the contexts of the texts."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from stages.core.clip.encoder import ClipEncoder
from stages.madclip.adapters import DualAdapters, Similarities
from stages.madclip.prompts import Learned, LearnedTexts
from stages.madclip.variants import VARIANTS, VariantName


class MadClip(nn.Module):
    """The trained part beside a frozen CLIP.

    Attributes:
        arguments: rebuild the module beside an encoder; plain JSON values.
    """

    def __init__(self, encoder: ClipEncoder, *, name: str, variant: VariantName, learned: Learned) -> None:
        """Untrained adapters and contexts.

        Args:
            name: of the object, in words.
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
        """Similarities of each patch; the texts are encoded anew, because training moves them."""
        found: Similarities = self.adapters(tokens, self.texts(encoder))
        return found
