"""Learned texts: eight context vectors before, behind or around each synonym (CoOp)."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from stages.core.clip.encoder import ClipEncoder
from stages.madclip.texts import PHRASES, STATES, State, phrases, sentences
from stages.madclip.variants import Position

CONTEXT = 8
PLACEHOLDER = " ".join(["X"] * CONTEXT)
INITIAL_DEVIATION = 0.02
Learned = Literal["both", "abnormal", "none"]


class Phrases(nn.Module):
    """What is fixed of one state's prompts: token ids with eight placeholders, their embeddings, phrase lengths."""

    ids: Int64[Tensor, "7 C"]
    embeddings: Float[Tensor, "7 C D"]

    def __init__(self, encoder: ClipEncoder, texts: Sequence[str]) -> None:
        """Tokenise the texts.

        Raises:
            UserError: a text has no token, or does not fit beside the context.
        """
        super().__init__()
        ids = encoder.tokenize([f"{PLACEHOLDER} {text}." for text in texts])
        self.lengths = [len(encoder.encode(text)) for text in texts]
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("embeddings", encoder.token_embeddings(ids).detach(), persistent=False)

    def with_context(self, context: Float[Tensor, "7 8 D"], position: Position) -> Float[Tensor, "7 C D"]:
        """Embeddings in which the context takes the placeholders' room.

        Args:
            position: of the phrase: behind the context ("end"), before it ("front"), or after its fourth vector. The
                full stop, the end token and the padding stay where they are.
        """
        rows = []
        before = {"end": CONTEXT, "front": 0, "middle": CONTEXT // 2}[position]
        for own, embedded, length in zip(context, self.embeddings, self.lengths, strict=True):
            start, phrase, rest = embedded[:1], embedded[1 + CONTEXT :][:length], embedded[1 + CONTEXT + length :]
            rows.append(torch.cat([start, own[:before], phrase, own[before:], rest]))
        return torch.stack(rows)


class LearnedTexts(nn.Module):
    """The two text features t_n and t_ab; the names of the contexts are those of the published code."""

    fixed: Float[Tensor, "E 2"]

    def __init__(
        self, encoder: ClipEncoder, *, name: str, positions: Sequence[Position], learned: Learned = "both"
    ) -> None:
        """Prepare the prompts of an object.

        Args:
            learned: states whose texts are learned; the others have the fixed texts.

        Raises:
            UserError: the name has no token or is too long.
        """
        super().__init__()
        self.positions = tuple(positions)
        self.learned: tuple[State, ...] = {"both": STATES, "abnormal": ("abnormal",), "none": ()}[learned]
        self.phrases = nn.ModuleDict({state: Phrases(encoder, phrases(name, state)) for state in STATES})
        shape = (len(PHRASES["normal"]), CONTEXT, encoder.text_width)
        self.ctx = nn.ParameterDict(
            {
                f"{state}_{position}": nn.Parameter(INITIAL_DEVIATION * torch.randn(shape))
                for state in self.learned
                for position in self.positions
            }
        )
        fixed = [encoder.ensemble(sentences(name, state)) for state in STATES if state not in self.learned]
        self.register_buffer("fixed", torch.stack(fixed) if fixed else torch.zeros(0), persistent=False)

    def embeddings(self, state: State) -> Float[Tensor, "N C D"]:
        """All prompts of a state, position by position."""
        own: Any = self.phrases[state]
        return torch.cat([own.with_context(self.ctx[f"{state}_{p}"], p) for p in self.positions])

    def features(self, encoder: ClipEncoder, state: State, *, causal: bool = False) -> Float[Tensor, "N E"]:
        """Text features of all prompts of a state, not normalised.

        Args:
            causal: the published code leaves out CLIP's causal mask, so that all tokens, padding too, see each other.
        """
        own: Any = self.phrases[state]
        ends = own.ids.argmax(dim=-1).repeat(len(self.positions))
        return encoder.encode_embeddings(self.embeddings(state), ends, causal=causal)

    def forward(self, encoder: ClipEncoder) -> Float[Tensor, "E 2"]:
        """Unit text features, normal and abnormal: the unit mean of the prompts' features, which are not unit."""
        fixed = iter(self.fixed)
        columns = [
            F.normalize(self.features(encoder, state).float().mean(dim=0), dim=-1)
            if state in self.learned
            else next(fixed)
            for state in STATES
        ]
        return torch.stack(columns, dim=1)
