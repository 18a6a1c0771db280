"""Draw the attention of some blocks over the image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stages.core.overlays import fit_within, heatmap_overlay
from stages.predict.attention_maps import Attention

SIZE = 256  # pixels of the image's longer side
INCHES = 2.6  # of a tile


def write_attention_picture(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], blocks: Sequence[Attention], *, place: tuple[float, float]
) -> None:
    """A row a block: the image with the asked place, what that cell takes, what all cells take together.

    Each tile's colours run from 0 to its own highest weight, but at least to twice the average; the title gives the
    highest weight as a multiple of the average.

    Args:
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
