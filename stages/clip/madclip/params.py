"""Parameters of MadCLIP, and the choices in which its published code and its paper differ.

Shahbazi et al., "MadCLIP: Few-shot Medical Anomaly Detection with CLIP", MICCAI 2025.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from stages.clip.model.params import ClipParams, ObjectParams
from stages.core.run.errors import UserError
from stages.core.run.params import Params
from stages.core.runtime.reading import Window

VariantName = Literal["as_code", "as_paper"]
Position = Literal["end", "front", "middle"]
ImageScore = Literal["largest_cell", "detection"]
Learned = Literal["both", "abnormal", "none"]
DetectionDecision = Literal["mean", "max", "both"]


@dataclass(frozen=True, kw_only=True)
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
        zoom_and_jitter: whether the augmentation has MadCLIP's four zooms and colour jitter in addition to MVFA's
            variants.
    """

    leak: float
    normalise_hidden: bool
    positions: tuple[Position, ...]
    mean_over_blocks: bool
    image_score: ImageScore
    betas: tuple[float, float]
    zoom_and_jitter: bool


VARIANTS: dict[VariantName, Variant] = {
    "as_code": Variant(
        leak=0.01,
        normalise_hidden=True,
        positions=("end", "front", "middle"),
        mean_over_blocks=False,
        image_score="largest_cell",
        betas=(0.5, 0.999),
        zoom_and_jitter=True,
    ),
    "as_paper": Variant(
        leak=0.0,
        normalise_hidden=False,
        positions=("end",),
        mean_over_blocks=True,
        image_score="detection",
        betas=(0.9, 0.999),
        zoom_and_jitter=False,
    ),
}


class TrainingParams(Params):
    """Adam at a constant rate for a fixed number of passes over the shots in all their variants.

    Attributes:
        epochs: passes over the shots.
        batch_size: images of an iteration; the last batch of an epoch may be smaller.
        learning_rate: the same in every iteration.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat


class MadclipParams(Params):
    """Section `madclip` of a profile.

    Attributes:
        blocks: of the vision transformer, whose tokens are adapted.
        variant: where code and paper differ, whose choices; see `Variant`.
        texts: states whose texts are learned; the others have 245 fixed sentences.
        decision: how the detection loss combines the patches.
        shots: normal and as many anomalous training images.
        repetitions: each with independent shots and a training of its own; the first one decides.
    """

    clip: ClipParams
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    variant: VariantName
    texts: Learned
    decision: DetectionDecision
    shots: PositiveInt
    repetitions: PositiveInt
    training: TrainingParams


class TargetParams(ObjectParams):
    """`methods.madclip.categories.<key>`: a category to score, and the one whose labelled pool is learned from.

    The texts name `object` also in training: those of another category are read as if they showed the target's object.

    Attributes:
        trained_on: key of the category to learn from, the target itself or another one.
        trained_on_window: of another category's images, as `window` is of the target's.
    """

    trained_on: str
    trained_on_window: Window | None = None

    def pool_window(self, category: str) -> Window | None:
        """Return the window of the images to learn from.

        Args:
            category: the target's key.

        Raises:
            UserError: the target is its own source and has two windows.
        """
        if self.trained_on != category:
            return self.trained_on_window
        if self.trained_on_window is not None:
            raise UserError(
                f"params.yaml: methods.madclip.categories.{category}.trained_on_window: {category} is trained on "
                "itself: remove it, `window` holds for all its images"
            )
        return self.window
