"""Parameters of MadCLIP."""

from pydantic import PositiveFloat, PositiveInt

from stages.clip.madclip.losses import Decision
from stages.clip.madclip.prompts import Learned
from stages.clip.madclip.variants import VariantName
from stages.clip.model.params import ClipParams, ObjectParams
from stages.core.images.reading import Window
from stages.core.run.errors import UserError
from stages.core.run.params import Params


class TrainingParams(Params):
    """Adam at a constant rate for a fixed number of passes over the shots in all their variants."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat


class MadclipParams(Params):
    """Section `madclip` of a profile.

    Attributes:
        blocks: of the vision transformer, whose tokens are adapted.
        variant: where code and paper differ, whose choices; see `stages.clip.madclip.variants`.
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
    """`madclip.categories.<key>`: a category to score, and the one whose labelled pool is learned from.

    The texts name `object` in training, too: those of another category are read as if they showed the target's object.

    Attributes:
        trained_on: key of the category to learn from, the target itself or another one.
        trained_on_window: of another category's images, as `window` is of the target's.
    """

    trained_on: str
    trained_on_window: Window | None = None

    def pool_window(self, category: str) -> Window | None:
        """The window of the images to learn from.

        Args:
            category: the target's key.

        Raises:
            UserError: the target is its own source and has two windows.
        """
        if self.trained_on != category:
            return self.trained_on_window
        if self.trained_on_window is not None:
            raise UserError(
                f"params.yaml: madclip.categories.{category}.trained_on_window: {category} is trained on itself: "
                "remove it, `window` holds for all its images"
            )
        return self.window
