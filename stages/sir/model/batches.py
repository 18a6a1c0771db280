"""What a training of SIR learns from: the features of its categories, and the images in each batch.

One-shot trainings see one image of each category and are repeated with other images; full-shot trainings see all.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from stages.core.run.errors import UserError
from stages.core.run.params import PARAMS_FILE
from stages.sir.model.feature_files import TeacherFeatures, drawing_order, read_features
from stages.sir.model.model import Shots, SirModel

SCALE_BATCHES = 10  # full-shot batches from which the channels' scales are taken
Scope = Literal["universal", "specialised"]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pick:
    """One view of one image: positions in the list of categories, of its images, of its views.

    Attributes:
        shift: cells of the coarsest stage that its features are moved down and to the right; what leaves comes in on
            the other side.
    """

    category: int
    row: int
    view: int
    shift: tuple[int, int] = (0, 0)


def shots_of(method: str, *, scope: Scope) -> Shots:
    """Read the number of shots from a method's name, e.g. "sir_one_shot_universal".

    Raises:
        UserError: the name is none of this scope's settings.
    """
    for shots in ("one_shot", "full_shot"):
        if method == f"sir_{shots}_{scope}":
            return shots
    raise UserError(
        f"{PARAMS_FILE}: methods.sir.{scope}: there is no setting {method!r}: known are sir_one_shot_{scope} and "
        f"sir_full_shot_{scope}"
    )


def gather_features(folder: Path, listed: Collection[str]) -> list[TeacherFeatures]:
    """Open the features that a universal model learns from, sorted by category.

    Args:
        folder: with a folder of features for each category.
        listed: the categories to learn from; what else is in the folder is not looked at.

    Raises:
        UserError: there are none, or a category's features are missing.
    """
    if not listed:
        raise UserError(
            f"{PARAMS_FILE}: methods.sir.categories: no category to learn from: name some, or empty "
            "methods.sir.universal"
        )
    if len(listed) == 1:
        LOG.warning(
            "methods.sir.categories names %s alone: a universal model of one category is a specialised one", *listed
        )
    return [read_features(folder / name, category=name) for name in sorted(listed)]


def choose_single_images(features: TeacherFeatures, *, repetitions: int, seed: int) -> list[int]:
    """Return the row of the one image of each repetition; different ones as long as there are enough.

    The choice depends on the seed, the category's name and its images whose features were kept (`sir.teacher.images`,
    without those of one colour): the universal and the specialised setting learn from the same images, and another
    category changes nothing.
    """
    order = drawing_order(features.category, len(features.image_ids), seed=seed)
    if len(order) < repetitions:
        LOG.warning(
            "%s has %d images for %d repetitions: some are used again", features.category, len(order), repetitions
        )
    return [order[number % len(order)] for number in range(repetitions)]


def one_shot_batches(
    features: Sequence[TeacherFeatures], rows: Sequence[Sequence[int]], generator: torch.Generator, *, shift: int
) -> Iterator[list[list[Pick]]]:
    """Yield endless batches, one for each repetition: its image of every category, in a random one of its views.

    Args:
        features: of each category.
        rows: of each category, a row a repetition.
        generator: draws the views, those for one-shot trainings where there are any, and the shifts.
        shift: cells of the coarsest stage that features are moved by at most, up or down and left or right.
    """
    while True:
        yield [
            [
                Pick(
                    number, own[repetition], random_number(one.one_shot_views, generator),
                    (random_number(2 * shift + 1, generator) - shift, random_number(2 * shift + 1, generator) - shift),
                )
                for number, (one, own) in enumerate(zip(features, rows, strict=True))
            ]
            for repetition in range(len(rows[0]))
        ]  # fmt: skip


def full_shot_batches(
    features: Sequence[TeacherFeatures], batch_size: int, generator: torch.Generator
) -> Iterator[list[list[Pick]]]:
    """Yield endless lists of a single batch: any category with the same probability, any of its images and views.

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


def moved(stages: list[Float[Tensor, "C h w"]], shift: tuple[int, int]) -> list[Float[Tensor, "C h w"]]:
    """Move every stage by the same part of the image, given in cells of the coarsest one."""
    if shift == (0, 0):
        return stages
    factors = [stage.shape[-1] // stages[-1].shape[-1] for stage in stages]
    return [
        stage.roll((factor * shift[0], factor * shift[1]), (-2, -1))
        for factor, stage in zip(factors, stages, strict=True)
    ]


def random_number(below: int, generator: torch.Generator) -> int:
    """Draw from 0 ... below - 1; nothing is drawn where there is nothing to choose."""
    return int(torch.randint(below, (1,), generator=generator)) if below > 1 else 0


class Batches:
    """The features that an iteration sees, on the device; repeated batches are read once."""

    def __init__(
        self,
        features: Sequence[TeacherFeatures],
        rows: Sequence[Sequence[int]],
        *,
        batch_size: int,
        shift: int,
        device: torch.device,
    ) -> None:
        """Prepare one-shot or full-shot batches.

        Args:
            features: of each category.
            rows: of each category, a row a repetition; none for all images.
            batch_size: of batches of all images.
            shift: of one-shot batches, see `one_shot_batches`.
            device: where the features go.
        """
        self.features, self.rows, self.batch_size, self.device, self.shift = features, rows, batch_size, device, shift
        self.load = lru_cache(maxsize=max(1, len(rows[0]) if rows else 0))(self.read)

    def picks(self, generator: torch.Generator) -> Iterator[list[list[Pick]]]:
        """Yield endless batches, one a repetition."""
        if self.rows:
            return one_shot_batches(self.features, self.rows, generator, shift=self.shift)
        return full_shot_batches(self.features, self.batch_size, generator)

    def read(self, picks: tuple[Pick, ...]) -> list[Float[Tensor, "B C h w"]]:
        """Read a batch of each stage's features."""
        images = [moved(self.features_of(pick), pick.shift) for pick in picks]
        stages = [torch.stack(stage) for stage in zip(*images, strict=True)]
        return [stage.to(self.device).contiguous(memory_format=torch.channels_last) for stage in stages]

    def features_of(self, pick: Pick) -> list[Float[Tensor, "C h w"]]:
        """Read each stage's features of one view, not moved."""
        own = self.features[pick.category]
        return own.one_shot(pick.row, pick.view) if self.rows else own.of(pick.row, pick.view)

    def standardise(self, models: Sequence[SirModel], *, seed: int) -> None:
        """Take each model's scale of the channels from the images that it learns from."""
        found = list(islice(self.picks(torch.Generator().manual_seed(seed)), SCALE_BATCHES))
        for number, model in enumerate(models):
            picks = [pick for batches in found for pick in batches[number]]
            model.standardise(self.features_of(pick) for pick in picks)
