"""The images that InCTRL learns from and compares with: auxiliary data, episodes of it, and the target's prompts.

An episode is what a training step works on: queries of both classes, each with normal prompts of its own category.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from stages.clip.model.encoder import ImageFeatures
from stages.clip.model.features import FileFeatures, stack_features
from stages.clip.model.labelled_pool import have_content_of, read_labelled_pool
from stages.clip.model.params import ObjectParams
from stages.core.run.errors import UserError
from stages.core.runtime.reading import Window

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
    """Collect the pools of all auxiliary categories but the target's own, without any image that will be judged.

    Args:
        pools: folder with a labelled pool for each auxiliary category.
        auxiliary: the categories to train on.
        images: the target's image table; files of its test and validation split are excluded by their content.
        target: the category to score.
        shots: normal images that a query needs as prompts, in addition to itself.

    Raises:
        UserError: nothing is left to train on, there is no anomaly, or a category has too few normal images.
    """
    judged = images.loc[images["split"] != "train", "file"]
    found: list[LabelledImage] = []
    for category, params in auxiliary.items():
        if category == target:
            LOG.info("%s is excluded from its own auxiliary data", category)
            continue
        pool = read_labelled_pool(pools / category)
        taken = have_content_of(pool["file"], judged)
        if taken.any():
            LOG.warning("%d images of %s are excluded, because they are judged in %s", taken.sum(), category, target)
        folder = pools / category / "images"
        rows = zip(pool[~taken]["file"], pool[~taken]["is_anomalous"], strict=True)
        found += [LabelledImage(folder / file, category, bool(label), params.window) for file, label in rows]
    check_episodes_exist(found, shots=shots)
    return found


def check_episodes_exist(found: list[LabelledImage], *, shots: int) -> None:
    """Raise a UserError where no episode can be drawn."""
    if not any(image.is_anomalous for image in found):
        raise UserError(
            "params.yaml: methods.inctrl.auxiliary: no labelled anomaly to train on: name another category than the "
            "target, of which some anomalies are in validation (the split rule puts them there; a source with a split "
            "of its own needs `resplit: true`)"
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
    """Yield endless episodes of batch_size / 2 normal and as many anomalous queries; each class takes its turn.

    Args:
        images: of all categories.
        shots: prompts of a query.
        batch_size: an even number.
        exclude_query: whether a query is never its own prompt.
        generator: draws queries and prompts.
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
    """Yield the rows in random order, again and again."""
    while True:
        yield from (rows[i] for i in torch.randperm(len(rows), generator=generator).tolist())


def choose_prompts(
    images: pd.DataFrame, *, shots: int, repetitions: int, generator: torch.Generator
) -> list[list[str]]:
    """Choose the target's prompts of each repetition: image_ids of split train, which are normal, sorted.

    Raises:
        UserError: there are fewer of them than shots.
    """
    train = sorted(images.loc[images["split"] == "train", "image_id"])
    if len(train) < shots:
        raise UserError(
            f"profile: inctrl.shots: {shots} normal prompts are wanted, the category has {len(train)} training "
            "images: lower it or add images"
        )
    return [
        sorted(train[i] for i in torch.randperm(len(train), generator=generator)[:shots].tolist())
        for _ in range(repetitions)
    ]


def encode_files(files: FileFeatures, chosen: Sequence[tuple[Path, Window | None]]) -> ImageFeatures:
    """Compute patches [N, L, P, W] without the class token, and embeddings [N, E].

    Raises:
        UserError: a file cannot be read.
    """
    features = stack_features([files(path, window) for path, window in chosen], files.encoder.device)
    return ImageFeatures(features.tokens[:, :, 1:], features.embedding)
