"""Images of more than 8 bits a channel: whether an opened file is one, and its values as they are stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile

from stages.core.runtime.kinds import Unsupported
from stages.core.runtime.upright import UPRIGHT, orientation_of

if TYPE_CHECKING:
    from jaxtyping import UInt16

DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
DEEPEST = 65535
WITH_DEEP_COLOUR = ("PNG", "TIFF")  # of which OpenCV reads all bits; Pillow keeps the high byte of each colour


def is_deep(image: Image.Image) -> bool:
    """Report whether an opened image has 9 to 16 bits a channel; to be called before it is decoded."""
    return is_deep_grey(image) or (image.format in WITH_DEEP_COLOUR and stores_16_bit(image))


def is_deep_grey(image: Image.Image) -> bool:
    """Report whether an opened image is grey with 9 to 16 bits; Pillow spreads those of PGM to 16."""
    return image.mode in DEEP_GREY or (image.format == "PPM" and image.mode == "I")


def stores_16_bit(image: Image.Image) -> bool:
    """Report whether the file's channels have 16 bits, whatever Pillow makes of them."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    return any(";16" in str(tile.args) for tile in tiles)


def stored_values(image: Image.Image, path: Path) -> UInt16[np.ndarray, "H W C"]:
    """Read the values of a deep image, not rotated: one channel of grey, else RGB, and alpha where it has some.

    Args:
        image: opened, not decoded yet.
        path: of its file.

    Raises:
        Unsupported: OpenCV cannot read it, would rotate it, or is not installed.
    """
    if is_deep_grey(image):
        return np.asarray(image).astype(np.uint16)[:, :, np.newaxis]
    if image.format == "TIFF" and orientation_of(image) != UPRIGHT:
        raise Unsupported("is a TIFF of 16-bit colours with a rotation: save it upright, or as PNG")
    try:
        import cv2  # whoever judges pictures of 8 bits needs no OpenCV
    except ModuleNotFoundError:
        raise Unsupported("has 16-bit colours, which take OpenCV: `pip install opencv-python-headless`") from None
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3 or values.shape[1::-1] != image.size:
        raise Unsupported("has 16-bit colours that are not read: save it as PNG")
    order = [2, 1, 0, 3][: values.shape[2]]  # OpenCV's first channel is blue
    return np.ascontiguousarray(values[:, :, order])
