"""Texts of a normal and an abnormal object: the published phrases, and learned contexts around them (CoOp)."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from stages.clip.madclip.params import Learned, Position
from stages.clip.model.encoder import ClipEncoder

State = Literal["normal", "abnormal"]
STATES: tuple[State, State] = ("normal", "abnormal")
PHRASES: dict[State, tuple[str, ...]] = {
    "normal": (
        "{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw", "{} without defect",
        "{} without damage",
    ),
    "abnormal": (
        "damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage", "disease {}", "abnormal {}",
    ),
}  # fmt: skip
TEMPLATES = (
    "a bad photo of a {}.", "a low resolution photo of the {}.", "a bad photo of the {}.", "a cropped photo of the {}.",
    "a bright photo of a {}.", "a dark photo of the {}.", "a photo of my {}.", "a photo of the cool {}.",
    "a close-up photo of a {}.", "a black and white photo of the {}.", "a bright photo of the {}.",
    "a cropped photo of a {}.", "a jpeg corrupted photo of a {}.", "a blurry photo of the {}.", "a photo of the {}.",
    "a good photo of the {}.", "a photo of one {}.", "a close-up photo of the {}.", "a photo of a {}.",
    "a low resolution photo of a {}.", "a photo of a large {}.", "a blurry photo of a {}.",
    "a jpeg corrupted photo of the {}.", "a good photo of a {}.", "a photo of the small {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.", "a dark photo of a {}.", "a photo of a cool {}.", "a photo of a small {}.",
    "there is a {} in the scene.", "there is the {} in the scene.", "this is a {} in the scene.",
    "this is the {} in the scene.", "this is one {} in the scene.",
)  # fmt: skip
CONTEXT = 8  # learned vectors of a prompt
PLACEHOLDER = " ".join(["X"] * CONTEXT)
INITIAL_DEVIATION = 0.02  # of the learned vectors before training


def phrases(name: str, state: State) -> list[str]:
    """Return the seven synonyms for an object in a state; "_" in its name counts as a blank."""
    return [phrase.format(name.replace("_", " ")) for phrase in PHRASES[state]]


def sentences(name: str, state: State) -> list[str]:
    """Return the 245 sentences of the fixed texts: every synonym in every template."""
    return [template.format(phrase) for phrase in phrases(name, state) for template in TEMPLATES]


class Phrases(nn.Module):
    """The fixed part of one state's prompts: token ids with eight placeholders, their embeddings, phrase lengths."""

    ids: Int64[Tensor, "7 C"]
    embeddings: Float[Tensor, "7 C D"]

    def __init__(self, encoder: ClipEncoder, texts: Sequence[str]) -> None:
        """Tokenise the texts.

        Raises:
            UserError: a text has no token, or does not fit next to the context.
        """
        super().__init__()
        ids = encoder.tokenize([f"{PLACEHOLDER} {text}." for text in texts])
        self.lengths = [len(encoder.encode(text)) for text in texts]
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("embeddings", encoder.token_embeddings(ids).detach(), persistent=False)

    def with_context(self, context: Float[Tensor, "7 8 D"], position: Position) -> Float[Tensor, "7 C D"]:
        """Embed the prompts with the context in place of the placeholders.

        Args:
            context: learned vectors.
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
            encoder: a frozen CLIP.
            name: of the object, in words.
            positions: of the phrase, see `Phrases.with_context`.
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
        """Embed all prompts of a state, position by position."""
        own: Any = self.phrases[state]
        return torch.cat([own.with_context(self.ctx[f"{state}_{p}"], p) for p in self.positions])

    def features(self, encoder: ClipEncoder, state: State, *, causal: bool = False) -> Float[Tensor, "N E"]:
        """Compute the text features of all prompts of a state, not normalised.

        Args:
            encoder: the one that prepared the prompts.
            state: normal or abnormal.
            causal: the published code omits CLIP's causal mask, so that all tokens, also padding, see each other.
        """
        own: Any = self.phrases[state]
        ends = own.ids.argmax(dim=-1).repeat(len(self.positions))
        return encoder.encode_embeddings(self.embeddings(state), ends, causal=causal)

    def forward(self, encoder: ClipEncoder) -> Float[Tensor, "E 2"]:
        """Compute unit text features, normal and abnormal: the unit mean of the prompts' raw features."""
        fixed = iter(self.fixed)
        columns = [
            F.normalize(self.features(encoder, state).float().mean(dim=0), dim=-1)
            if state in self.learned
            else next(fixed)
            for state in STATES
        ]
        return torch.stack(columns, dim=1)
