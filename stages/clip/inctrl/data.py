"""The auxiliary data: labelled images of other categories than the one to be judged.

What each training step works on: queries of both classes, each with normal prompts of its own category.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
import torch

from stages.clip.model.labelled_pool import read_labelled_pool
from stages.clip.model.params import ObjectParams
from stages.core.images.reading import Window
from stages.core.run.errors import UserError

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


@dataclass(frozen=True)
class Episode:
    """Row numbers of the queries, normal ones first, and of each query's prompts."""

    queries: tuple[int, ...]
    prompts: tuple[tuple[int, ...], ...]


def draw_episodes(
    images: Sequence[LabelledImage], *, shots: int, batch_size: int, exclude_query: bool, generator: torch.Generator
) -> Iterator[Episode]:
    """Endless episodes of batch_size / 2 normal and as many anomalous queries; each class is gone through in turn.

    Args:
        exclude_query: whether a query is never its own prompt.
    """
    normal = [row for row, image in enumerate(images) if not image.is_anomalous]
    anomalous = [row for row, image in enumerate(images) if image.is_anomalous]
    by_category = {
        image.category: [row for row in normal if images[row].category == image.category] for image in images
    }
    classes = [cycle(rows, generator) for rows in (normal, anomalous)]
    while True:
        queries = [next(rows) for rows in classes for _ in range(batch_size // 2)]
        prompts = []
        for query in queries:
            allowed = [row for row in by_category[images[query].category] if not (exclude_query and row == query)]
            prompts.append(
                tuple(allowed[i] for i in torch.randperm(len(allowed), generator=generator)[:shots].tolist())
            )
        yield Episode(tuple(queries), tuple(prompts))


def cycle(rows: Sequence[int], generator: torch.Generator) -> Iterator[int]:
    """The rows in random order, again and again."""
    while True:
        yield from (rows[i] for i in torch.randperm(len(rows), generator=generator).tolist())
