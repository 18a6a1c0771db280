"""The aspect ratio of a product's pictures, where it is far from square: kept with its split, for patch memories.

A picture of 500 x 1250 pixels that is pressed into a square shows a scratch along it at two fifths of its length, and
one across it at full length. With its aspect ratio and as many pixels the encoder costs as much and sees both.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError

ASPECT = "aspect.json"  # in a split's `inputs/`; only where pictures are far from square
NEAR_SQUARE = 1.5  # the longer over the shorter side: up to here keeping it gained nothing on synthetic defects
LARGEST = 8.0  # beyond, the shorter side would have too few cells
ALIKE = 0.1  # share by which nine tenths of the pictures may differ from their median
CELL = 32  # pixels; sides are multiples of it, so that cells of all strides of the encoder are whole


def common_aspect(widths: Sequence[int], heights: Sequence[int]) -> float | None:
    """Return the median width over height of pictures; None where it is near square or no common one.

    Args:
        widths, heights: of normal images, in pixels, upright.
    """
    if not len(widths):
        return None
    aspects = np.asarray(widths, dtype=float) / np.asarray(heights, dtype=float)
    median = float(np.median(aspects))
    if max(median, 1 / median) < NEAR_SQUARE or np.quantile(np.abs(aspects / median - 1), 0.9) > ALIKE:
        return None
    return median


def sides_for(aspect: float | None, side: int) -> tuple[int, int]:
    """Return height and width in pixels to which pictures are resized: as many pixels as a square of `side`.

    Args:
        aspect: width over height; None for a square.
    """
    if aspect is None:
        return side, side
    root = math.sqrt(min(max(aspect, 1 / LARGEST), LARGEST))
    return multiple(side / root), multiple(side * root)


def multiple(length: float) -> int:
    """Return the multiple of CELL next to a length in pixels, at least CELL."""
    return max(1, round(length / CELL)) * CELL


def write_aspect(inputs: Path, aspect: float | None) -> None:
    """Write `inputs`/aspect.json; no file where there is none."""
    if aspect is None:
        return
    with replacing_file(inputs / ASPECT) as temporary:
        temporary.write_text(json.dumps({"width_over_height": aspect}, indent=2) + "\n", encoding="utf-8")


def read_aspect(inputs: Path) -> float | None:
    """Read the ratio of a split's `inputs/`; None where pictures are near square.

    Raises:
        UserError: the file is damaged.
    """
    path = inputs / ASPECT
    if not path.exists():
        return None
    try:
        aspect = float(json.loads(path.read_text(encoding="utf-8"))["width_over_height"])
        if not (math.isfinite(aspect) and aspect > 0):
            raise ValueError(f"{aspect} is no aspect ratio")
        return aspect
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no readable aspect ratio ({error}): delete it and run `dvc repro`") from None
