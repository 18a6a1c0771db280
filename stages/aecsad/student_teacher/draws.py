"""Everything that one iteration leaves to chance, drawn in advance of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from stages.aecsad.student_teacher.penalty import GREY_SHARE

COLOUR_CHANGES = (TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation)


@dataclass(frozen=True)
class ColourChange:
    """One of brightness, contrast and saturation, multiplied by a factor; 1 changes nothing."""

    kind: int
    factor: float

    def __call__(self, image: UInt8[Tensor, "3 S S"]) -> UInt8[Tensor, "3 S S"]:
        changed: Tensor = COLOUR_CHANGES[self.kind](image, self.factor)
        return changed


@dataclass(frozen=True)
class PenaltyDraw:
    """Row of a natural image, and whether it turns grey."""

    row: int
    grey: bool


@dataclass(frozen=True)
class Draw:
    """What one iteration works on.

    Attributes:
        rows: of the training images.
        colours: a change for each of `rows`, for the global student; empty without that augmentation.
        pasted: rows of the pasted images that the global student sees instead; None without that augmentation.
        penalty: None without natural images.
    """

    rows: Int64[Tensor, " B"]
    colours: tuple[ColourChange, ...] = ()
    pasted: Int64[Tensor, " B"] | None = None
    penalty: PenaltyDraw | None = None


def draw_iterations(
    count: int,
    batch_size: int,
    generator: torch.Generator,
    *,
    global_images: Literal["plain", "colour", "pasted"],
    colour_strength: float,
    pasted: int,
    penalty: int,
) -> Iterator[Draw]:
    """Endless draws; nothing is drawn for what is switched off.

    Args:
        count: training images; pasted: pasted images; penalty: natural images, 0 without a penalty.
    """
    for rows in draw_batches(count, batch_size, generator):
        colours: tuple[ColourChange, ...] = ()
        chosen = None
        if global_images == "colour":
            colours = tuple(draw_colour(colour_strength, generator) for _ in rows)
        if global_images == "pasted":
            chosen = torch.randint(pasted, (len(rows),), generator=generator)
        yield Draw(rows, colours, chosen, draw_penalty(penalty, generator) if penalty else None)


def draw_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers of endless batches: every epoch a new order, its short rest left out.

    With fewer images than `batch_size` every batch holds all of them.
    """
    size = min(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from (order[start : start + size] for start in range(0, count - size + 1, size))


def draw_colour(strength: float, generator: torch.Generator) -> ColourChange:
    """CSAD's augmentation of the autoencoder's image: one of three changes.

    The code changes the image before it is resized; but for rounding, the order makes no difference.
    """
    kind = int(torch.randint(len(COLOUR_CHANGES), (1,), generator=generator))
    return ColourChange(kind, 1 + strength * (2 * float(torch.rand(1, generator=generator)) - 1))


def draw_penalty(count: int, generator: torch.Generator) -> PenaltyDraw:
    """Any of `count` natural images, grey in 3 of 10 draws."""
    row = int(torch.randint(count, (1,), generator=generator))
    return PenaltyDraw(row, bool(torch.rand(1, generator=generator) < GREY_SHARE))
