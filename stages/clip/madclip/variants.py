"""Where MadCLIP's published code and its paper differ: one set of choices each.

Shahbazi et al., "MadCLIP: Few-shot Medical Anomaly Detection with CLIP", MICCAI 2025.
"""

from dataclasses import dataclass
from typing import Literal

VariantName = Literal["as_code", "as_paper"]
Position = Literal["end", "front", "middle"]
ImageScore = Literal["largest_cell", "detection"]


@dataclass(frozen=True)
class Variant:
    """One reading of the method.

    Attributes:
        leak: slope of the adapters' activation below zero; 0 is the paper's ReLU.
        normalise_hidden: whether the adapters' hidden layer is normalised over its channels.
        positions: where the learned context stands relative to the phrase; the paper shows "end" only.
        mean_over_blocks: whether maps and scores are averaged over the blocks or added up.
        image_score: the largest cell of the map, which the code takes wherever there are masks, or the mean of the
            detection branch.
        betas: of Adam.
        zoom_and_jitter: whether the augmentation has MadCLIP's four zooms and colour jitter besides MVFA's variants.
    """

    leak: float
    normalise_hidden: bool
    positions: tuple[Position, ...]
    mean_over_blocks: bool
    image_score: ImageScore
    betas: tuple[float, float]
    zoom_and_jitter: bool


VARIANTS: dict[VariantName, Variant] = {
    "as_code": Variant(0.01, True, ("end", "front", "middle"), False, "largest_cell", (0.5, 0.999), True),
    "as_paper": Variant(0.0, False, ("end",), True, "detection", (0.9, 0.999), False),
}
