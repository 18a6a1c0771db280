"""Which images an iteration sees, and the seeds of their augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from stages.uninformed_students.params import Epochs

LARGEST_SEED = 2**31


@dataclass(frozen=True)
class Draw:
    """Rows of the training images, a row may come more than once, and one seed for each."""

    rows: Int64[Tensor, " B"]
    seeds: list[int]


def draw_batches(images: int, batch_size: int, generator: torch.Generator, *, per_image: int = 1) -> Iterator[Draw]:
    """Endless batches: every epoch each image `per_image` times in a new order, its short rest left out.

    With fewer than `batch_size` in an epoch every batch holds all of them.
    """
    count = images * per_image
    size = min(count, batch_size)
    while True:
        order = torch.randperm(count, generator=generator) % images
        for start in range(0, count - size + 1, size):
            seeds = torch.randint(LARGEST_SEED, (size,), generator=generator).tolist()
            yield Draw(order[start : start + size], seeds)


def number_of_iterations(wanted: int | Epochs, *, images: int, batch_size: int, per_image: int = 1) -> int:
    """Epochs in iterations."""
    if isinstance(wanted, int):
        return wanted
    return wanted.epochs * max(1, images * per_image // batch_size)
