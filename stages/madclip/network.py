"""All that MadCLIP trains: dual adapters and the contexts of the texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
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


def published_state(checkpoint: Mapping[str, Any], *, learned: Sequence[str]) -> dict[str, Tensor]:
    """The tensors of a published checkpoint under the names of `MadClip`.

    It holds the adapters as two state_dicts, and each prompt maker with a copy of CLIP's text encoder, which is left
    out. Taken from the code that saves them: no published checkpoint was at hand.

    Args:
        learned: states with learned texts.

    Raises:
        KeyError: the checkpoint has another layout.
    """
    state: dict[str, Tensor] = {}
    for name in ("normal_det_adapters", "abnormal_det_adapters"):
        state |= {f"adapters.{name}.{key}": value for key, value in checkpoint[name].items()}
    for kind in learned:
        prefix = "prompt_learner.ctx."
        maker = checkpoint[f"prompt_maker_{kind}"]
        found = {key.removeprefix(prefix): value for key, value in maker.items() if key.startswith(prefix)}
        if not found:
            raise KeyError(f"prompt_maker_{kind} has no {prefix}*")
        state |= {f"texts.ctx.{key}": value for key, value in found.items()}
    return {name: torch.as_tensor(value).float().cpu() for name, value in state.items()}
