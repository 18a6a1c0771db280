"""Which CLIP a method uses and where its weights come from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints, field_validator

from stages.core.run.params import Params
from stages.core.runtime.reading import Window


class VisionTower(Params):
    """A vision transformer; it has width // head_width heads."""

    layers: PositiveInt
    width: PositiveInt
    head_width: PositiveInt
    patch_size: PositiveInt


class TextTower(Params):
    """A text transformer for 77 tokens of CLIP's own vocabulary."""

    layers: PositiveInt
    width: PositiveInt
    heads: PositiveInt


class Architecture(Params):
    """A CLIP that open_clip has no name for, for instance a tiny one for tests."""

    embed_dim: PositiveInt
    vision: VisionTower
    text: TextTower


class PublishedWeights(Params):
    """Weights that open_clip knows by a tag.

    Attributes:
        tag: open_clip's name of the weights, for example `laion400m_e32` or `openai`.
        source: "hub" (Hugging Face) or "release" (the URL of the original file). open_clip 3.3 takes for
            ViT-B-16-plus-240 `laion400m_e32` the hub repository of epoch 31, so that one must come from the release.
        offline: whether only files that were fetched before may be used.
    """

    tag: str
    source: Literal["hub", "release"]
    offline: bool


class FileWeights(Params):
    """A local file: safetensors, a PyTorch state_dict, or OpenAI's TorchScript archive.

    Attributes:
        sha256: of the file; None is not checked. State it for an archive, which can run code when it is loaded.
    """

    file: Path
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None


class RandomWeights(Params):
    """Untrained weights, for tests of the machinery only."""

    random_seed: NonNegativeInt


class ClipParams(Params):
    """The section `clip` of a method.

    Attributes:
        architecture: a name of open_clip's, or the measures of a small one.
        image_size: side in pixels of the network's input; the positional embedding is resized to it.
        quick_gelu: the activation of OpenAI's training in place of the exact GELU.
        cache_gigabytes: disk space in `work/` for the features of images; the least recently used go first.
    """

    architecture: str | Architecture
    image_size: PositiveInt
    quick_gelu: bool
    weights: PublishedWeights | FileWeights | RandomWeights
    cache_gigabytes: PositiveFloat


class ObjectParams(Params):
    """A category as methods on CLIP know it.

    Attributes:
        object: its name in words, for the texts, e.g. "solar cell".
        window: grey values of 16-bit and DICOM images that become black and white; None takes the file's own.
    """

    object: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    window: Window | None = None

    @field_validator("object")
    @classmethod
    def has_words(cls, name: str) -> str:
        """Refuse a name like "_", which would leave a gap in every text.

        Raises:
            ValueError: it has no letter or digit.
        """
        if not any(character.isalnum() for character in name):
            raise ValueError(f"{name!r} has no letter or digit: name the object in words")
        return name
