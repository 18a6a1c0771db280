"""Score the images of a call with a product's trained parts, by the pipeline's own functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from commands.predict.inputs import find_images
from commands.predict.parts import trained_files
from commands.predict.running import Wishes, score_given
from commands.verbs import Closing
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.io.component_names import names_of
from stages.core.run.params import load_seed, load_value
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.reading import Window
from stages.core.runtime.wording import Names
from stages.export.parts import Parts, Prediction, load_parts, predict


@dataclass(frozen=True)
class ProductJudge:
    """A product's trained parts as a judge of pictures."""

    parts: Parts
    category: str
    method: str
    names: Names

    @property
    def calibration(self) -> Calibration:
        """What turns scores into verdicts."""
        return self.parts.calibration

    @property
    def grey_range(self) -> Window | None:
        """What images of more than 8 bits are spread over."""
        return self.parts.grey_range

    @property
    def covers_components(self) -> bool:
        """Whether a branch looks at components."""
        return self.parts.covers_components

    @property
    def about(self) -> Mapping[str, Any]:
        """Product, method, and sha256 of the trained parts."""
        return {"category": self.category, "method": self.method, "parts": dict(self.parts.fingerprints)}

    def judge(self, picture: UInt8[np.ndarray, "H W 3"]) -> Prediction:
        """Judge a picture."""
        return predict(self.parts, picture, self.names)


def predict_images(given: Sequence[Path], wishes: Wishes, *, category: str, method: str | None = None) -> Closing:
    """Score the images of some files and folders with a category's trained parts.

    Args:
        given: files, folders, patterns, and - for a list on standard input; at least one.
        wishes: what is to be written.
        category: a key of `categories` in params.yaml.
        method: whose parts; the first of `stages.export.recipes.RECIPES` that is on where None.

    Returns:
        The counts, and an exit code other than 0 if something could not be read.

    Raises:
        UserError: the parts are missing or damaged, there is no image, or the folder may not be written.
    """
    files = trained_files(category, method)
    inputs, names = (
        find_images(given, output=wishes.output),
        names_of(load_value("components", optional=True), category),
    )

    def load() -> ProductJudge:
        seed_everything(load_seed())  # nothing is drawn, but kernels are chosen as in training
        return ProductJudge(load_parts(files, device=pick_device()), category, files.method, names)

    return score_given(load, inputs, wishes)
