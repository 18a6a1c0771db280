"""Teach a discriminator on damaged copies of training images.

Two networks learn from half of the images each. What each returns for normal images of the other half shows how much
it varies where it has not learned: that is its unit, so one that has learned too little, or its images by heart, has
little say. New images get the mean of both.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from stages.aecsad.hybrid_fusion.damage import KINDS, damaged
from stages.core.encoder.device import cpu_threads
from stages.core.encoder.encoder import stack_images
from stages.core.neighbours.bank import PatchReader
from stages.core.neighbours.discriminator import BOUND, Discriminator
from stages.core.neighbours.whitening import Whitening
from stages.core.run.console import progress
from stages.core.run.parallel import on_all_cores
from stages.core.runtime.reading import read_image
from stages.core.training.optimisation import build_optimizer, build_schedule

COPIES = 80  # training images at most of which there is a damaged copy; more see no more of synthetic defects
COVERED = 0.15  # share of a cell that has to be damaged for its patch to be an example
HIDDEN, STEPS, BATCH = 32, 400, 192
NORMAL = 4  # times as many normal patches as damaged ones in a batch
LEARNING_RATE, WEIGHT_DECAY, DROPOUT = 0.003, 0.1, 0.2
SHARE = 0.25  # spread of what is added, in spreads of the distances
SMALLEST = 1e-6  # spread of outputs that do not vary
LOG = logging.getLogger(__name__)
Copy = tuple[int, UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"]]  # image number, damaged picture, where


@dataclass(frozen=True)
class Examples:
    """Patches that are known.

    Attributes:
        normal, damaged: patches.
        normal_half, damaged_half: 0 or 1, by the image that each is of.
    """

    normal: Float[Tensor, "P C"]
    normal_half: Int[Tensor, " P"]
    damaged: Float[Tensor, "D C"]
    damaged_half: Int[Tensor, " D"]


@dataclass(frozen=True)
class Halves:
    """Two discriminators that have learned from half of the images each, and what judges new images."""

    by_half: tuple[Discriminator, Discriminator]
    together: Discriminator

    def held_out(self, number: int, patches: Float[Tensor, "h w C"]) -> Float[Tensor, "h w"]:
        """Return the output for a training image by what has not learned from it.

        Args:
            number: of the image.
            patches: of it.
        """
        return self.by_half[1 - half_of(number)](patches)


def half_of(number: int) -> int:
    """Return which half an image belongs to."""
    return number % 2


def read_damaged(reader: PatchReader, files: Sequence[str], *, seed: int) -> list[tuple[int, Float[Tensor, "p C"]]]:
    """Return, for at most COPIES of the images, the number of the image and the damaged patches of one copy of it.

    As many are of one half as of the other; none of a single image.

    Args:
        reader: reads images as those that are judged; copies are damaged before they are resized.
        files: of the training images.
        seed: of the damage.

    Raises:
        UserError: an image cannot be read.
    """
    random = np.random.default_rng(seed)
    pairs = np.linspace(0, len(files) // 2 - 1, min(COPIES, len(files)) // 2).round().astype(int).tolist()
    numbers = [2 * pair + half for pair in pairs for half in (0, 1)]
    uncached = replace(reader, cached=False)  # no other stage has these pictures

    def copies() -> Iterator[Copy]:
        for number, kind in zip(numbers, cycle(KINDS), strict=False):
            yield number, *damaged(read_image(reader.folder / files[number]), kind, random)

    def damaged_patches(one: Copy) -> tuple[int, Float[Tensor, "p C"]]:
        number, copy, changed = one
        patches = uncached.patches(stack_images([copy], size=reader.size))
        return number, patches[cells_of(changed, patches).to(patches.device)]

    found = on_all_cores(damaged_patches, copies())
    return list(progress(found, total=len(numbers), label="damaged copies"))


def cells_of(changed: Bool[np.ndarray, "H W"], patches: Float[Tensor, "h w C"]) -> Bool[Tensor, "h w"]:
    """Return the cells of which more than COVERED has changed."""
    height, width = patches.shape[:2]
    share = cv2.resize(changed.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(share > COVERED)


def examples_of(
    normal: Float[Tensor, "P C"], sources: Int[Tensor, " P"], found: Sequence[tuple[int, Float[Tensor, "p C"]]]
) -> Examples:
    """Put the patches together.

    Args:
        normal, sources: patches of training images and the number of the image of each.
        found: of `read_damaged`.
    """
    halves = [torch.full((len(patches),), half_of(number)) for number, patches in found]
    return Examples(normal, sources % 2, torch.cat([patches for _, patches in found]), torch.cat(halves))


def fit_discriminator(
    examples: Examples,
    whitening: Whitening,
    shown: Sequence[tuple[int, Float[Tensor, "h w C"]]],
    *,
    spread: float,
    generator: torch.Generator,
) -> Halves | None:
    """Fit both halves; None where a half has no damaged or no normal patch, as with very few images.

    Args:
        whitening: of the patches.
        shown: number and patches of some training images.
        spread: of the distances of normal images.
        generator: on the CPU; it draws weights and batches.
    """
    trained = []
    for half in (0, 1):
        normal, broken = examples.normal[examples.normal_half == half], examples.damaged[examples.damaged_half == half]
        if not len(normal) or not len(broken):
            LOG.info(
                "no discriminator: half of the images have %d normal, %d damaged patches", len(normal), len(broken)
            )
            return None
        with cpu_threads(1):
            trained.append(fit_network(whitening, normal, broken, generator))
    halves = Halves((trained[0], trained[1]), trained[0])
    outputs = torch.cat([halves.held_out(number, patches).flatten() for number, patches in shown])
    unit = SHARE * spread / max(float(outputs.double().std(unbiased=False)), SMALLEST)
    first, second = (scaled(one, unit) for one in trained)
    return Halves((first, second), mean_of(first, second))


def fit_network(
    whitening: Whitening, normal: Float[Tensor, "P C"], broken: Float[Tensor, "D C"], generator: torch.Generator
) -> Discriminator:
    """Fit one network by logistic loss, both classes counting alike.

    Args:
        normal, broken: patches as they are.
        generator: on the CPU.
    """
    device, channels = normal.device, normal.shape[1]
    normal, broken = (whitening(one).clamp(-BOUND, BOUND) for one in (normal, broken))
    weights = [
        torch.randn(channels, HIDDEN, generator=generator) / channels**0.5,
        torch.zeros(HIDDEN),
        torch.randn(HIDDEN, generator=generator) / HIDDEN**0.5,
        torch.zeros(()),
    ]
    weights = [one.to(device).requires_grad_() for one in weights]
    optimizer = build_optimizer("adamw", weights, learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = build_schedule("one_cycle", optimizer, learning_rate=LEARNING_RATE, iterations=STEPS)
    for _ in range(STEPS):
        rows = [
            one[torch.randint(len(one), (count,), generator=generator).to(device)]
            for one, count in ((broken, BATCH), (normal, NORMAL * BATCH))
        ]
        batch = torch.cat(rows)
        kept = (torch.rand(batch.shape, generator=generator) >= DROPOUT).to(device) / (1 - DROPOUT)
        output = torch.relu((batch * kept) @ weights[0] + weights[1]) @ weights[2] + weights[3]
        loss = functional.softplus(-output[:BATCH]).mean() + functional.softplus(output[BATCH:]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Discriminator(whitening, *(one.detach() for one in weights))


def scaled(one: Discriminator, unit: float) -> Discriminator:
    """Return a discriminator whose outputs are `unit` times as large."""
    return Discriminator(one.whitening, one.hidden, one.hidden_bias, unit * one.output, unit * one.output_bias)


def mean_of(first: Discriminator, second: Discriminator) -> Discriminator:
    """Return one network that computes the mean of two with the same whitening."""
    return Discriminator(
        first.whitening,
        torch.cat([first.hidden, second.hidden], dim=1),
        torch.cat([first.hidden_bias, second.hidden_bias]),
        torch.cat([first.output, second.output]) / 2,
        (first.output_bias + second.output_bias) / 2,
    )
