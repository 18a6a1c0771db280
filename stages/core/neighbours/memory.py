"""A memory bank on its own: its patches, and how an image becomes patches of the same kind, in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor, nn

from stages.core.encoder.encoder import STRIDES
from stages.core.io.weights import read_weights, write_weights
from stages.core.neighbours.bank import Bank, Grid, View, join_stages, patches_of
from stages.core.neighbours.discriminator import Discriminator
from stages.core.neighbours.whitening import Whitening
from stages.core.run.errors import UserError
from stages.core.runtime.graphs import LEVEL, MAP, SCORE
from stages.core.runtime.maps import to_half
from stages.core.runtime.reading import Window, sides_of

PATCHES, MEAN, MATRIX, USUAL = "patches", "whitening_mean", "whitening_matrix", "usual_distances"
DISCRIMINATOR = "discriminator"  # before the names of its tensors
LAYERS = ("hidden", "hidden_bias", "output", "output_bias")


@dataclass(frozen=True)
class MemoryBank:
    """Judges images by the distances of their patches to patches of normal images.

    Attributes:
        bank: of patches of normal images.
        encoder: name of the frozen network.
        image_size: height and width in pixels to which images are resized.
        strides: of the encoder stages that are joined, the finest first.
        mixed: see `stages.core.neighbours.bank.PatchReader`.
        grey_range: what images of more than 8 bits are spread over; None where the training images had 8.
        grid: see `stages.core.neighbours.bank.PatchReader`.
    """

    bank: Bank
    encoder: str
    image_size: tuple[int, int]
    strides: tuple[int, ...]
    mixed: bool
    grey_range: Window | None
    grid: Grid = "finest"

    def judge(self, features: Sequence[Float[Tensor, "1 _C _h _w"]]) -> tuple[float, Float16[np.ndarray, "h w"]]:
        """Return score and anomaly map of an image, as `stages.core.neighbours.bank.score_images` does.

        Args:
            features: of the encoder, at its strides.
        """
        patches = patches_of(features, self.strides, grid=self.grid)
        score, distances = self.bank.judge(patches)
        return score, to_half(distances.cpu().numpy())

    def to(self, device: torch.device) -> "MemoryBank":
        """Return it with its tensors on a device."""
        return replace(self, bank=self.bank.to(device))


class BankGraph(nn.Module):
    """A memory bank as a network, which can be exported: from features of one image to score and anomaly map.

    Attributes:
        inputs: names of the encoder's outputs that it takes.
    """

    def __init__(self, memory: MemoryBank) -> None:
        """Keep the bank; its patches as buffers, of which a graph stores one copy however often it needs them."""
        super().__init__()
        self.grid, self.plain = memory.grid, memory.bank
        for number, view in enumerate(memory.bank.views):
            self.register_buffer(f"{PATCHES}_{number}", view.patches)
        self.inputs = tuple(f"{LEVEL}{STRIDES.index(stride)}" for stride in memory.strides)
        self.outputs = (SCORE, MAP)

    @property
    def bank(self) -> Bank:
        """The bank, made of the buffers."""
        views = enumerate(self.plain.views)
        return replace(
            self.plain, views=tuple(replace(view, patches=self.get_buffer(f"{PATCHES}_{n}")) for n, view in views)
        )

    def forward(self, *stages: Float[Tensor, "1 _C _h _w"]) -> tuple[Float[Tensor, ""], Float[Tensor, "h w"]]:
        """Return what `MemoryBank.judge` does."""
        patches = join_stages(stages, grid=self.grid, shrink=averaged)[0].permute(1, 2, 0)
        largest, weight, distances = self.bank.weigh(patches)
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
    views = bank.bank.views
    arguments = {
        "encoder": bank.encoder, "image_size": list(bank.image_size), "strides": list(bank.strides),
        "neighbours": bank.bank.neighbours, "mixed": bank.mixed, "grid": bank.grid,
        "grey_range": None if bank.grey_range is None else asdict(bank.grey_range),
        "spreads": [view.spread for view in views],
    }  # fmt: skip
    state = {f"{PATCHES}_{number}": view.patches for number, view in enumerate(views)}
    for number, view in enumerate(views):
        if view.whitening is not None:
            state |= {f"{MEAN}_{number}": view.whitening.mean, f"{MATRIX}_{number}": view.whitening.matrix}
    if bank.bank.usual is not None:
        state[USUAL] = bank.bank.usual
    if (discriminator := bank.bank.discriminator) is not None:
        state |= {f"{DISCRIMINATOR}_{name}": getattr(discriminator, name) for name in LAYERS}
    write_weights(path, state, arguments)


def read_bank(path: Path) -> MemoryBank:
    """Read what `write_bank` wrote, onto the CPU.

    Raises:
        UserError: the file is missing, damaged or no memory bank.
    """
    state, arguments = read_weights(path)
    try:
        grey_range = None if arguments["grey_range"] is None else Window(**arguments["grey_range"])
        views = tuple(read_view(state, number, spread) for number, spread in enumerate(arguments["spreads"]))
        bank = Bank(views, arguments["neighbours"], state.get(USUAL), read_discriminator(state, views))
        return MemoryBank(
            bank, arguments["encoder"], sides_of(arguments["image_size"]), tuple(arguments["strides"]),
            arguments["mixed"], grey_range, arguments["grid"],
        )  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no memory bank ({error!r}): delete it and run `dvc repro`") from None


def read_view(state: Mapping[str, Tensor], number: int, spread: float) -> View:
    """Return one view of a bank's file."""
    matrix = state.get(f"{MATRIX}_{number}")
    whitening = None if matrix is None else Whitening(state[f"{MEAN}_{number}"], matrix)
    return View(state[f"{PATCHES}_{number}"], whitening, spread)


def read_discriminator(state: Mapping[str, Tensor], views: Sequence[View]) -> Discriminator | None:
    """Return the discriminator of a bank's file, which whitens as the bank's own view does; None where it has none."""
    whitenings = [view.whitening for view in views if view.whitening is not None]
    if f"{DISCRIMINATOR}_{LAYERS[0]}" not in state:
        return None
    return Discriminator(whitenings[0], *(state[f"{DISCRIMINATOR}_{name}"] for name in LAYERS))
