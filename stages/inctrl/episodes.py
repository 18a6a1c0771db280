"""What each training step works on: queries of both classes, each with normal prompts of its own category."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from stages.inctrl.auxiliary import LabelledImage


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
