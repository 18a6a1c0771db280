"""Prompts: the words by which a person describes to the proposer `foundation` what a product consists of."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE, Params, Share, load_value, validate


def is_one_class(words: str) -> bool:
    """Return whether GroundingDINO takes words for one class: there are some, without marks that separate classes."""
    return bool(words.strip()) and not any(mark in words for mark in ".?")


def refuse_several_classes(words: str) -> str:
    """Return the words as they are.

    Raises:
        ValueError: they are not those of one class.
    """
    if not is_one_class(words):
        raise ValueError(f"{words!r}: write one class of words without '.' and '?'")
    return words


Words = Annotated[str, AfterValidator(refuse_several_classes)]


class Prompts(Params):
    """`prompts` of a category.

    Attributes:
        objects: a word or phrase for each class of parts.
        background: words for what is no part though it may be found, such as the bag around screws.
        box_threshold, text_threshold: lowest probability of a box, and of a word for it.
        masks: "grounded": the masks in the boxes of `objects` are the parts. "automatic": SAM's masks everywhere are.
            "automatic_inside_grounded": of those, what lies in a grounded mask.
    """

    objects: tuple[Words, ...] = Field(min_length=1)
    background: tuple[Words, ...]
    box_threshold: Share
    text_threshold: Share
    masks: Literal["grounded", "automatic", "automatic_inside_grounded"]

    @model_validator(mode="after")
    def check_lists(self) -> "Prompts":
        """Refuse words in both lists, whose boxes could be either; the detector ignores case."""
        objects = {words.lower().strip() for words in self.objects}
        if both := [words.strip() for words in self.background if words.lower().strip() in objects]:
            raise ValueError(f"{', '.join(both)} is under objects and under background: keep one of the two")
        return self


def load_prompts(category: str) -> Prompts | None:
    """Load `categories.<category>.prompts` of params.yaml; None where a person has not written any.

    Raises:
        UserError: a key is missing, unknown or of the wrong kind.
    """
    entry = load_value(f"categories.{category}")
    if not isinstance(entry, dict):
        raise UserError(f"{PARAMS_FILE}: categories.{category} is not a section of keys")
    if entry.get("prompts") is None:
        return None
    return validate(Prompts, entry["prompts"], where=f"categories.{category}.prompts")
