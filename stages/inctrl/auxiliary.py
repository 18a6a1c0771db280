"""The auxiliary data: labelled images of other categories than the one to be judged."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from stages.core.artifacts.labelled_pool import read_labelled_pool
from stages.core.clip.params import ObjectParams
from stages.core.image_files.windows import Window
from stages.core.running.errors import UserError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelledImage:
    """One image to train on; its prompts come from the same category."""

    path: Path
    category: str
    is_anomalous: bool
    window: Window | None


def gather_auxiliary(
    pools: Path, auxiliary: Mapping[str, ObjectParams], images: pd.DataFrame, *, target: str, shots: int
) -> list[LabelledImage]:
    """The pools of all auxiliary categories but the target's own, without any image that will be judged.

    Args:
        pools: folder with a labelled pool for each auxiliary category.
        images: the target's image table; files of its test and validation part are left out by their content.
        shots: normal images that a query needs as prompts, besides itself.

    Raises:
        UserError: nothing is left to train on, there is no anomaly, or a category has too few normal images.
    """
    judged = {PurePosixPath(name).stem for name in images.loc[images["split"] != "train", "file"]}
    found: list[LabelledImage] = []
    for category, params in auxiliary.items():
        if category == target:
            LOG.info("%s is left out of its own auxiliary data", category)
            continue
        pool = read_labelled_pool(pools / category)
        own = ~pool["file"].map(lambda name: PurePosixPath(name).stem in judged)
        if not own.all():
            LOG.warning("%d images of %s are left out, because they are judged in %s", (~own).sum(), category, target)
        folder = pools / category / "images"
        rows = zip(pool[own]["file"], pool[own]["is_anomalous"], strict=True)
        found += [LabelledImage(folder / file, category, bool(label), params.window) for file, label in rows]
    refuse(found, shots=shots)
    return found


def refuse(found: list[LabelledImage], *, shots: int) -> None:
    """Raise a UserError where no episode can be drawn."""
    if not any(image.is_anomalous for image in found):
        raise UserError(
            "params.yaml: inctrl.auxiliary: no labelled anomaly to train on: name another category than the target, of "
            "which some anomalies are in validation (the split rule puts them there; a source with a split of its own "
            "needs `resplit: true`)"
        )
    for category in sorted({image.category for image in found}):
        normal = sum(image.category == category and not image.is_anomalous for image in found)
        if normal < shots + 1:
            raise UserError(
                f"profile: inctrl.shots: {shots} prompts need {shots + 1} normal training images of each auxiliary "
                f"category, {category} has {normal}: lower it or add images"
            )
