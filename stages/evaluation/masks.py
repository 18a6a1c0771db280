"""Masks of defects: an image's PNG files, one a defect."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from stages.core.running.errors import UserError


def read_mask(folder: Path, files: Sequence[str], *, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """True where any of the files is not zero; all False without files.

    Raises:
        UserError: a file cannot be read or is not of the image's size.
    """
    return union(read_masks(folder, files, height=height, width=width), height=height, width=width)


def union(masks: Sequence[UInt8[np.ndarray, "H W"]], *, height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """True where any of the masks is not zero; all False without masks."""
    mask = np.zeros((height, width), dtype=bool)
    for values in masks:
        mask |= values > 0
    return mask


def read_masks(folder: Path, files: Sequence[str], *, height: int, width: int) -> list[UInt8[np.ndarray, "H W"]]:
    """The values of each file.

    Raises:
        UserError: a file cannot be read or is not of the image's size.
    """
    masks = []
    for name in files:
        values = read_values(folder / name)
        if values.shape != (height, width):
            raise UserError(
                f"{folder / name}: the mask has {values.shape[1]} x {values.shape[0]} pixels, its image "
                f"{width} x {height}: make them equal at the source"
            )
        masks.append(values)
    return masks


def read_values(path: Path) -> UInt8[np.ndarray, "H W"]:
    """The file's values; of a file with several channels, 255 where any of them is not zero.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            values = np.asarray(image)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable mask ({error}): run `dvc repro` to make it anew") from None
    if values.ndim == 2 and values.dtype == np.uint8:
        return values
    nonzero = np.not_equal(np.atleast_3d(values), 0).any(axis=2)
    return np.where(nonzero, 255, 0).astype(np.uint8)
