"""Which images a training sees: one of each category, drawn several times, or all of them.

The features of all categories that one model learns from.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE
from stages.sir.model.feature_files import TeacherFeatures, read_features

Shots = Literal["one_shot", "full_shot"]
Scope = Literal["universal", "specialised"]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pick:
    """One view of one image: positions in the list of categories, of its images, of its views."""

    category: int
    row: int
    view: int


def shots_of(method: str, *, scope: Scope) -> Shots:
    """The number of shots that a method's name tells.

    Raises:
        UserError: the name is none of this scope.
    """
    for shots in ("one_shot", "full_shot"):
        if method == f"sir_{shots}_{scope}":
            return shots
    raise UserError(
        f"{PARAMS_FILE}: sir.{scope}: there is no setting {method!r}: known are sir_one_shot_{scope} and "
        f"sir_full_shot_{scope}"
    )


def draw_single_images(features: TeacherFeatures, *, draws: int, seed: int) -> list[int]:
    """The row of the one image of each draw; different ones as long as there are enough.

    The choice depends on the seed, the category's name and its images whose features were kept (`sir.teacher.images`,
    without those of one colour): the universal and the specialised setting learn from the same images, and another
    category changes nothing.
    """
    digest = hashlib.sha256(f"{seed} {features.category}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    order = torch.randperm(len(features.image_ids), generator=generator).tolist()
    return [order[number % len(order)] for number in range(draws)]


def one_shot_batches(
    features: Sequence[TeacherFeatures], rows: Sequence[Sequence[int]], generator: torch.Generator
) -> Iterator[list[list[Pick]]]:
    """Endless batches, one for each draw: the draw's image of every category, in a random one of its views.

    Args:
        rows: of each category, a row a draw.
    """
    while True:
        yield [
            [
                Pick(number, own[draw], random_number(len(one.views), generator))
                for number, (one, own) in enumerate(zip(features, rows, strict=True))
            ]
            for draw in range(len(rows[0]))
        ]


def full_shot_batches(
    features: Sequence[TeacherFeatures], batch_size: int, generator: torch.Generator
) -> Iterator[list[list[Pick]]]:
    """Endless lists of a single batch: any category with the same probability, then any of its images and views.

    Sizes of data sets differ by more than ten; drawn in proportion, the largest would decide.
    """
    while True:
        batch = []
        for _ in range(batch_size):
            category = random_number(len(features), generator)
            own = features[category]
            row, view = random_number(len(own.image_ids), generator), random_number(len(own.views), generator)
            batch.append(Pick(category, row, view))
        yield [batch]


def random_number(below: int, generator: torch.Generator) -> int:
    """0 ... below - 1; no draw is spent where there is nothing to choose."""
    return int(torch.randint(below, (1,), generator=generator)) if below > 1 else 0


def gather_features(folder: Path, categories: Sequence[str]) -> list[TeacherFeatures]:
    """Of the named categories, in the order of their names; what else lies in the folder is not looked at.

    Args:
        folder: with a folder for each category.

    Raises:
        UserError: none is named, or one's features are missing.
    """
    if not categories:
        raise UserError(f"{PARAMS_FILE}: sir.categories: no category to learn from: name some, or empty sir.universal")
    if len(categories) == 1:
        LOG.warning(
            "sir.categories names %s alone: a universal model of one category is a specialised one", categories[0]
        )
    return [read_features(folder / category, category=category) for category in sorted(categories)]
