"""Parameters of MadCLIP."""

from pydantic import PositiveFloat, PositiveInt

from stages.core.clip.params import ClipParams, ObjectParams
from stages.core.running.params import Params
from stages.madclip.losses import Decision
from stages.madclip.prompts import Learned
from stages.madclip.variants import VariantName


class TrainingParams(Params):
    """Adam at a constant rate for a fixed number of passes over the shots in all their variants."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat


class MadclipParams(Params):
    """Section `madclip` of a profile.

    Attributes:
        blocks: of the vision transformer, whose tokens are adapted.
        variant: where code and paper differ, whose choices; see `stages.madclip.variants`.
        texts: states whose texts are learned; the others have 245 fixed sentences.
        decision: how the detection loss looks at the patches.
        shots: normal and as many anomalous training images.
        draws: independent draws of the shots, each with a training of its own; the first one decides.
    """

    clip: ClipParams
    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    variant: VariantName
    texts: Learned
    decision: Decision
    shots: PositiveInt
    draws: PositiveInt
    training: TrainingParams


class TargetParams(ObjectParams):
    """`madclip.categories.<key>`: a category to score, and the one whose labelled pool is learned from."""

    trained_on: str
