"""Show where the global student's self-attention blocks look in one image: collect their weights and draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from commands.predict.parts import trained_files
from stages.aecsad.model.networks import GlobalStudent, SelfAttention
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.encoder.encoder import FrozenEncoder, stack_images, to_float
from stages.core.images.overlays import fit_within, heatmap_overlay
from stages.core.io.arrays import write_arrays
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError
from stages.core.run.params import load_seed
from stages.core.runtime.calibration import counted
from stages.core.runtime.reading import read_like_training
from stages.export.parts import load_parts, predict

SIZE = 256  # pixels of the image's longer side
INCHES = 2.6  # of a tile
PICTURE, ARRAYS = "attention.png", "attention.npz"


def show_attention(image: Path, *, category: str, output: Path, at: tuple[float, float] | None) -> str:
    """Write ARRAYS, one array for each block, and PICTURE to a new folder.

    Args:
        image: a file.
        category: whose trained parts are taken.
        output: the folder.
        at: the cell to ask, as shares of width and height; None for the one with the highest anomaly.

    Raises:
        UserError: the place is outside the image, the folder exists, or the parts are missing or without attention.
    """
    if at is not None and not all(0 <= share < 1 for share in at):
        raise UserError(f"--at {at[0]} {at[1]}: two shares from 0 to below 1 are needed")
    files = trained_files(category, "aecsad")
    if output.exists():
        raise UserError(f"{output} (--output) exists already: name a new folder")
    seed_everything(load_seed())  # nothing is drawn, but kernels are chosen as in training
    parts = load_parts(files, device=pick_device())
    assert parts.students is not None
    picture = read_like_training(image, parts.grey_range)
    pixels = to_float(stack_images([picture], size=parts.students.image_size)).to(parts.encoder.mean.device)
    blocks = attention_of(parts.students.network.global_student, parts.encoder, pixels)
    place = at or highest(predict(parts, picture).anomaly_map)
    with replacing_folder(output, only_new=True) as folder:
        write_arrays(folder / ARRAYS, **{block.name: block.weights for block in blocks})
        write_attention_picture(folder / PICTURE, picture, blocks, place=place)
    return f"{counted(len(blocks), 'block')} at ({place[0]:.2f}, {place[1]:.2f}) of width and height"


@dataclass(frozen=True)
class Attention:
    """The weights of one block, cell by cell.

    Attributes:
        name: "encoder_16x16" and the like: part of the network, and its cells.
        weights: [i, j, k, l] is what cell (i, j), row and column, takes from cell (k, l); the sum over (k, l) is 1.
    """

    name: str
    weights: Float32[np.ndarray, "H W H W"]

    @property
    def received(self) -> Float32[np.ndarray, "H W"]:
        """What all cells together take from each cell, on average; 1 / (H W) where all count the same."""
        return np.asarray(self.weights.mean(axis=(0, 1)))

    def taken_at(self, across: float, down: float) -> Float32[np.ndarray, "H W"]:
        """What the cell at a place takes from each cell; the place as shares in [0, 1) of width and height."""
        height, width = self.weights.shape[:2]
        return np.asarray(self.weights[int(down * height), int(across * width)])


@torch.no_grad()
def attention_of(
    student: GlobalStudent, encoder: FrozenEncoder, image: Float[Tensor, "1 3 S S"]
) -> tuple[Attention, ...]:
    """Run the global student on an image in [0, 1] and collect the weights of its blocks, in their order.

    Raises:
        UserError: it has no self-attention.
    """
    parts = {"encoder": student.encoder_attention, "decoder": student.decoder_attention}
    blocks = [(name, block) for name, modules in parts.items() for block in modules if isinstance(block, SelfAttention)]
    if not blocks:
        raise UserError("this global student has no self-attention (student_teacher.global_student.attention is false)")
    seen: dict[nn.Module, Tensor] = {}

    def note(block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[block] = inputs[0]

    hooks = [block.register_forward_pre_hook(note) for _, block in blocks]
    try:
        student(encoder.normalise(image))
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(described(name, block, seen[block]) for name, block in blocks)


def described(part: str, block: SelfAttention, x: Float[Tensor, "1 C H W"]) -> Attention:
    """The weights of a block on its input."""
    height, width = x.shape[-2:]
    weights = block.weights(x)[0].reshape(height, width, height, width)
    return Attention(f"{part}_{height}x{width}", weights.cpu().numpy())


def write_attention_picture(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], blocks: Sequence[Attention], *, place: tuple[float, float]
) -> None:
    """A row a block: the image with the asked place, what that cell takes, what all cells take together.

    Each tile's colours run from 0 to its own highest weight, but at least to twice the average; the title states the
    highest weight as a multiple of the average.

    Args:
        path: the PNG file.
        picture: the image.
        blocks: in the order of the rows.
        place: (x, y) as shares of width and height.
    """
    image = fit_within(picture, SIZE)
    figure = Figure(figsize=(3 * INCHES, len(blocks) * INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(blocks), 3, squeeze=False)
    for row, block in zip(axes, blocks, strict=True):
        taken = block.taken_at(*place)
        tiles = [("asked cell", image), (f"taken by it, up to {peak(taken):.1f} x", overlay(image, taken))]
        tiles.append((f"taken by all, up to {peak(block.received):.1f} x", overlay(image, block.received)))
        for axis, (title, tile) in zip(row, tiles, strict=True):
            axis.imshow(tile)
            axis.set_title(title, fontsize=8)
            axis.set(xticks=[], yticks=[])
        row[0].plot(place[0] * image.shape[1], place[1] * image.shape[0], "o", color="red", markerfacecolor="none")
        row[0].set_ylabel(block.name.replace("_", " "), fontsize=8)
    figure.savefig(path, dpi=120)


def peak(weights: np.ndarray) -> float:
    """The highest weight as a multiple of the average."""
    return float(weights.max() / weights.mean())


def overlay(image: UInt8[np.ndarray, "h w 3"], weights: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """The weights over the image, from 0 to the highest or twice the average."""
    return heatmap_overlay(image, weights, low=0.0, high=float(max(weights.max(), 2 * weights.mean())))


def highest(anomaly_map: np.ndarray) -> tuple[float, float]:
    """(x, y) of the middle of the highest cell, as shares of width and height."""
    row, column = np.unravel_index(int(anomaly_map.argmax()), anomaly_map.shape)
    height, width = anomaly_map.shape
    return float((column + 0.5) / width), float((row + 0.5) / height)
