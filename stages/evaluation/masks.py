"""Masks of defects: the union of an image's PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from stages.core.errors import UserError


def read_mask(folder: Path, files: Sequence[str], *, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """True where any of the files is not zero; all False without files.

    Raises:
        UserError: a file cannot be read or is not of the image's size.
    """
    mask = np.zeros((height, width), dtype=bool)
    for name in files:
        values = read_values(folder / name)
        if values.shape != mask.shape:
            raise UserError(
                f"{folder / name}: the mask has {values.shape[1]} x {values.shape[0]} pixels, its image "
                f"{width} x {height}: make them equal at the source"
            )
        mask |= values
    return mask


def read_values(path: Path) -> Bool[np.ndarray, "H W"]:
    """True where the file's value (any channel, or the palette's index) is not zero.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable mask ({error}): run `dvc repro` to make it anew") from None
    nonzero = np.not_equal(values, 0)
    return np.asarray(nonzero.any(axis=2)) if nonzero.ndim == 3 else nonzero
