"""Score the images of a call with a bundle, without torch and without the pipeline's folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.predict.given import check_given
from commands.predict.inputs import find_images
from commands.predict.running import Wishes, score_given
from commands.verbs import Closing
from stages.core.runtime.bundle import Bundle, Judgement, load
from stages.core.runtime.calibration import Calibration
from stages.core.runtime.manifest import SEAL
from stages.core.runtime.reading import Window

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8


@dataclass(frozen=True)
class BundleJudge:
    """A bundle as a judge of pictures."""

    bundle: Bundle

    @property
    def calibration(self) -> Calibration:
        """What turns scores into verdicts."""
        return self.bundle.calibration

    @property
    def grey_range(self) -> Window | None:
        """What images of more than 8 bits are spread over."""
        return self.bundle.grey_range

    @property
    def covers_components(self) -> bool:
        """Whether a branch looks at components."""
        return self.bundle.covers_components

    @property
    def about(self) -> Mapping[str, Any]:
        """Product, method, and what identifies the bundle."""
        manifest = self.bundle.manifest
        made = {"bundle": str(self.bundle.path), "bundle_sha256": manifest[SEAL], "commit": manifest["commit"]}
        return {"category": self.bundle.product, "method": self.bundle.method, **made}

    def judge(self, picture: UInt8[np.ndarray, "H W 3"]) -> Judgement:
        """Judge a picture."""
        return self.bundle.judged(picture)


def predict_with_bundle(folder: Path, given: Sequence[Path], wishes: Wishes) -> Closing:
    """Score the images of some files and folders with a bundle.

    Args:
        folder: of the bundle.
        given: files, folders, patterns, and - for a list on standard input.
        wishes: what is to be written.

    Returns:
        The counts, and an exit code other than 0 if something could not be read.

    Raises:
        UserError: the bundle cannot be used, there is no image, or the folder may not be written.
    """
    check_given(given)
    judge = BundleJudge(load(folder))
    return score_given(lambda: judge, find_images(given, output=wishes.output), wishes)
