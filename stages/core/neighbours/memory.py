"""A memory bank on its own: its patches, and how an image becomes patches of the same kind, in one file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float16
from torch import Tensor, nn

from stages.core.encoder.encoder import STRIDES
from stages.core.io.weights import read_weights, write_weights
from stages.core.neighbours.bank import image_score, join_stages, patch_distances, patches_of, worst_patch
from stages.core.run.errors import UserError
from stages.core.runtime.graphs import LEVEL, MAP, SCORE
from stages.core.runtime.maps import to_half
from stages.core.runtime.reading import Window

PATCHES = "patches"


@dataclass(frozen=True)
class MemoryBank:
    """Judges images by the distances of their patches to patches of normal images.

    Attributes:
        patches: of normal images.
        encoder: name of the frozen network.
        image_size: side in pixels to which images are resized.
        strides: of the encoder stages that are joined, the finest first.
        neighbours: see `stages.core.neighbours.bank.image_score`.
        mixed: see `stages.core.neighbours.bank.PatchReader`.
        grey_range: what images of more than 8 bits are spread over; None where the training images had 8.
    """

    patches: Float[Tensor, "k C"]
    encoder: str
    image_size: int
    strides: tuple[int, ...]
    neighbours: int
    mixed: bool
    grey_range: Window | None

    def judge(self, features: Sequence[Float[Tensor, "1 _C _h _w"]]) -> tuple[float, Float16[np.ndarray, "h w"]]:
        """Return score and anomaly map of an image, as `stages.core.neighbours.bank.score_images` does.

        Args:
            features: of the encoder, at its strides.
        """
        patches = patches_of(features, self.strides)
        distances = patch_distances(patches, self.patches)
        score = image_score(patches, distances, self.patches, neighbours=self.neighbours)
        return score, to_half(distances.cpu().numpy())


class BankGraph(nn.Module):
    """A memory bank as a network, which can be exported: from features of one image to score and anomaly map.

    Attributes:
        inputs: names of the encoder's outputs that it takes.
    """

    bank: Tensor

    def __init__(self, memory: MemoryBank) -> None:
        """Keep the bank."""
        super().__init__()
        self.strides, self.neighbours = memory.strides, memory.neighbours
        self.inputs = tuple(f"{LEVEL}{STRIDES.index(stride)}" for stride in memory.strides)
        self.outputs = (SCORE, MAP)
        self.register_buffer("bank", memory.patches)

    def forward(self, *stages: Float[Tensor, "1 _C _h _w"]) -> tuple[Float[Tensor, ""], Float[Tensor, "h w"]]:
        """Return what `MemoryBank.judge` does."""
        patches = join_stages(stages)[0].permute(1, 2, 0)
        distances = patch_distances(patches, self.bank)
        largest, weight = worst_patch(patches, distances, self.bank, neighbours=self.neighbours)
        return (1.0 - weight) * largest, distances


def write_bank(path: Path, bank: MemoryBank) -> None:
    """Write the bank; the same bank gives the same bytes."""
    arguments = {
        "encoder": bank.encoder, "image_size": bank.image_size, "strides": list(bank.strides),
        "neighbours": bank.neighbours, "mixed": bank.mixed,
        "grey_range": None if bank.grey_range is None else asdict(bank.grey_range),
    }  # fmt: skip
    write_weights(path, {PATCHES: bank.patches}, arguments)


def read_bank(path: Path) -> MemoryBank:
    """Read what `write_bank` wrote, onto the CPU.

    Raises:
        UserError: the file is missing, damaged or no memory bank.
    """
    state, arguments = read_weights(path)
    try:
        grey_range = None if arguments["grey_range"] is None else Window(**arguments["grey_range"])
        return MemoryBank(
            state[PATCHES], arguments["encoder"], arguments["image_size"], tuple(arguments["strides"]),
            arguments["neighbours"], arguments["mixed"], grey_range,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is no memory bank ({error!r}): delete it and run `dvc repro`") from None
