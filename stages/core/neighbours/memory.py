"""A memory bank on its own: its patches, and how an image becomes patches of the same kind, in one file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor, nn

from stages.core.encoder.encoder import STRIDES
from stages.core.io.weights import read_weights, write_weights
from stages.core.neighbours.bank import Grid, join_stages, judge_patches, patches_of, weigh_patches
from stages.core.neighbours.whitening import Whitening
from stages.core.run.errors import UserError
from stages.core.runtime.graphs import LEVEL, MAP, SCORE
from stages.core.runtime.maps import to_half
from stages.core.runtime.reading import Window, sides_of

PATCHES, MEAN, MATRIX, USUAL = "patches", "whitening_mean", "whitening_matrix", "usual_distances"


@dataclass(frozen=True)
class MemoryBank:
    """Judges images by the distances of their patches to patches of normal images.

    Attributes:
        patches: of normal images.
        encoder: name of the frozen network.
        image_size: height and width in pixels to which images are resized.
        strides: of the encoder stages that are joined, the finest first.
        neighbours: see `stages.core.neighbours.bank.image_score`.
        mixed: see `stages.core.neighbours.bank.PatchReader`.
        grey_range: what images of more than 8 bits are spread over; None where the training images had 8.
        grid: see `stages.core.neighbours.bank.PatchReader`.
        whitening, usual: see `stages.core.neighbours.bank.judge_patches`.
    """

    patches: Float[Tensor, "k C"]
    encoder: str
    image_size: tuple[int, int]
    strides: tuple[int, ...]
    neighbours: int
    mixed: bool
    grey_range: Window | None
    grid: Grid = "finest"
    whitening: Whitening | None = None
    usual: Float[Tensor, "h w"] | None = None

    def judge(self, features: Sequence[Float[Tensor, "1 _C _h _w"]]) -> tuple[float, Float16[np.ndarray, "h w"]]:
        """Return score and anomaly map of an image, as `stages.core.neighbours.bank.score_images` does.

        Args:
            features: of the encoder, at its strides.
        """
        patches = patches_of(features, self.strides, grid=self.grid)
        score, distances = judge_patches(
            patches, self.patches, neighbours=self.neighbours, whitening=self.whitening, usual=self.usual
        )
        return score, to_half(distances.cpu().numpy())

    def to(self, device: torch.device) -> "MemoryBank":
        """Return it with its tensors on a device."""
        return replace(
            self,
            patches=self.patches.to(device),
            whitening=None if self.whitening is None else self.whitening.to(device),
            usual=None if self.usual is None else self.usual.to(device),
        )


class BankGraph(nn.Module):
    """A memory bank as a network, which can be exported: from features of one image to score and anomaly map.

    Attributes:
        inputs: names of the encoder's outputs that it takes.
    """

    bank: Tensor

    def __init__(self, memory: MemoryBank) -> None:
        """Keep the bank."""
        super().__init__()
        self.grid, self.neighbours = memory.grid, memory.neighbours
        self.whitening, self.usual = memory.whitening, memory.usual
        self.inputs = tuple(f"{LEVEL}{STRIDES.index(stride)}" for stride in memory.strides)
        self.outputs = (SCORE, MAP)
        self.register_buffer("bank", memory.patches)

    def forward(self, *stages: Float[Tensor, "1 _C _h _w"]) -> tuple[Float[Tensor, ""], Float[Tensor, "h w"]]:
        """Return what `MemoryBank.judge` does."""
        patches = join_stages(stages, grid=self.grid, shrink=averaged)[0].permute(1, 2, 0)
        largest, weight, distances = weigh_patches(
            patches, self.bank, neighbours=self.neighbours, whitening=self.whitening, usual=self.usual
        )
        return (1.0 - weight) * largest, distances


def averaged(values: Float[Tensor, "B C H W"], size: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """Do as `adaptive_avg_pool2d` by matrix products, which are exported for cells that do not divide evenly, too."""
    down, across = (averaging(before, after) for before, after in zip(values.shape[-2:], size, strict=True))
    return down @ values @ across.T


def averaging(before: int, after: int) -> Float[Tensor, "after before"]:
    """Return the matrix that averages cells floor(i b / a) to ceil((i + 1) b / a) into cell i."""
    matrix = torch.zeros(after, before)
    for row in range(after):
        first, end = row * before // after, -(-(row + 1) * before // after)
        matrix[row, first:end] = 1.0 / (end - first)
    return matrix


def write_bank(path: Path, bank: MemoryBank) -> None:
    """Write the bank; the same bank gives the same bytes."""
    arguments = {
        "encoder": bank.encoder, "image_size": list(bank.image_size), "strides": list(bank.strides),
        "neighbours": bank.neighbours, "mixed": bank.mixed, "grid": bank.grid,
        "grey_range": None if bank.grey_range is None else asdict(bank.grey_range),
    }  # fmt: skip
    state = {PATCHES: bank.patches}
    if bank.whitening is not None:
        state |= {MEAN: bank.whitening.mean, MATRIX: bank.whitening.matrix}
    if bank.usual is not None:
        state[USUAL] = bank.usual
    write_weights(path, state, arguments)


def read_bank(path: Path) -> MemoryBank:
    """Read what `write_bank` wrote, onto the CPU.

    Raises:
        UserError: the file is missing, damaged or no memory bank.
    """
    state, arguments = read_weights(path)
    try:
        grey_range = None if arguments["grey_range"] is None else Window(**arguments["grey_range"])
        return MemoryBank(
            state[PATCHES], arguments["encoder"], sides_of(arguments["image_size"]), tuple(arguments["strides"]),
            arguments["neighbours"], arguments["mixed"], grey_range, arguments["grid"],
            Whitening(state[MEAN], state[MATRIX]) if MATRIX in state else None, state.get(USUAL),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no memory bank ({error!r}): delete it and run `dvc repro`") from None
