"""Texts that describe a normal and an anomalous object, and how close images are to them.

Zhu and Pang, "Toward Generalist Anomaly Detection via In-context Residual Learning with Few-shot Sample Prompts", CVPR
2024; the words are those of the published code, which took them from WinCLIP without "broken".
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from stages.clip.inctrl.network import text_score
from stages.clip.model.encoder import ClipEncoder

Texts = tuple[Float[Tensor, " E"], Float[Tensor, " E"]]
NORMAL_STATES = (
    "{}", "flawless {}", "perfect {}", "unblemished {}", "{} without flaw", "{} without defect", "{} without damage",
)  # fmt: skip
ANOMALOUS_STATES = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")
TEMPLATES = (
    "a cropped photo of the {}.", "a cropped photo of a {}.", "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a bright photo of a {}.", "a bright photo of the {}.", "a dark photo of a {}.", "a dark photo of the {}.",
    "a jpeg corrupted photo of a {}.", "a jpeg corrupted photo of the {}.", "a blurry photo of the {}.",
    "a blurry photo of a {}.", "a photo of the {}.", "a photo of a {}.", "a photo of a small {}.",
    "a photo of the small {}.", "a photo of a large {}.", "a photo of the large {}.",
    "a photo of a {} for visual inspection.", "a photo of the {} for visual inspection.",
    "a photo of a {} for anomaly detection.", "a photo of the {} for anomaly detection.",
)  # fmt: skip
SEMANTIC = (  # objects of one-class data sets, where another object is the anomaly
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck", "animal",
)  # fmt: skip


def describe(name: str) -> tuple[list[str], list[str]]:
    """Return 154 texts of the normal object and 88 of an anomalous one; one each for an object of SEMANTIC.

    Args:
        name: of the object, in words; "_" counts as a blank.
    """
    name = name.replace("_", " ")
    if name in SEMANTIC:
        return [f"a photo of {name} for anomaly detection."], [f"a photo without {name} for anomaly detection."]
    normal, anomalous = ([s.format(name) for s in states] for states in (NORMAL_STATES, ANOMALOUS_STATES))
    return [t.format(s) for s in normal for t in TEMPLATES], [t.format(s) for s in anomalous for t in TEMPLATES]


def encode_texts(encoder: ClipEncoder, names: Mapping[str, str]) -> dict[str, Texts]:
    """Compute the normal and the anomalous text feature of each category, once.

    Args:
        encoder: a frozen CLIP.
        names: the object of each category, in words.

    Raises:
        UserError: a name has no token or is too long.
    """
    return {
        category: (encoder.ensemble(normal), encoder.ensemble(anomalous))
        for category, (normal, anomalous) in ((category, describe(name)) for category, name in names.items())
    }


def text_scores(embedding: Float[Tensor, "B E"], texts: Sequence[Texts]) -> Float[Tensor, " B"]:
    """Compute the text score of each query with its own category's texts."""
    normal, anomalous = (torch.stack(column) for column in zip(*texts, strict=True))
    return text_score(embedding, normal, anomalous)
