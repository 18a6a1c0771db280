"""Phrases for a normal and an abnormal object, as in MadCLIP's published code."""

from typing import Literal

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


def phrases(name: str, state: State) -> list[str]:
    """The seven synonyms for an object in a state; "_" in its name counts as a blank."""
    return [phrase.format(name.replace("_", " ")) for phrase in PHRASES[state]]


def sentences(name: str, state: State) -> list[str]:
    """The 245 sentences of the fixed texts: every synonym in every template."""
    return [template.format(phrase) for phrase in phrases(name, state) for template in TEMPLATES]
