"""Prompts: the words by which a person tells the proposer `foundation` what a product consists of."""

from typing import Literal

from pydantic import Field

from stages.core.running.errors import UserError
from stages.core.running.params import PARAMS_FILE, Params, load_value, validate

Share = Field(ge=0, le=1)


class Prompts(Params):
    """`prompts` of a category.

    Attributes:
        objects: words for parts, one class each.
        background: words for what is no part though it may be found, such as the bag around screws.
        box_threshold, text_threshold: lowest probability of a box, and of a word for it.
        masks: "grounded": the masks in the boxes of `objects` are the parts. "automatic": SAM's masks everywhere are.
            "automatic_inside_grounded": of those, what lies in a grounded mask.
    """

    objects: tuple[str, ...] = Field(min_length=1)
    background: tuple[str, ...]
    box_threshold: float = Share
    text_threshold: float = Share
    masks: Literal["grounded", "automatic", "automatic_inside_grounded"]


def load_prompts(category: str) -> Prompts | None:
    """`categories.<category>.prompts` of params.yaml; None where a person has not written any.

    Raises:
        UserError: a key is missing, unknown or of the wrong kind.
    """
    entry = load_value(f"categories.{category}")
    if not isinstance(entry, dict):
        raise UserError(f"{PARAMS_FILE}: categories.{category} is not a section of keys")
    if entry.get("prompts") is None:
        return None
    return validate(Prompts, entry["prompts"], where=f"categories.{category}.prompts")
