"""Turn pixels upright as EXIF says, of which nothing but the orientation is read: other entries are often damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import Shaped

EXIF_ORIENTATION = 0x0112
UPRIGHT = 1


def orientation_of(image: Image.Image) -> int | None:
    """Return EXIF's orientation of an opened image, 1 (upright) to 8; None where EXIF is there and damaged.

    Pillow turns TIFF itself: once it is decoded, its orientation is 1.
    """
    try:
        value = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except Exception:  # Pillow's parser raises whatever it likes; the pixels may be sound
        return None
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else UPRIGHT


def turned(pixels: Shaped[np.ndarray, "H W *C"], orientation: int | None) -> np.ndarray:
    """Return pixels as they are to be viewed; without a readable orientation as they are."""
    match orientation:
        case 2:
            view = pixels[:, ::-1]
        case 3:
            view = pixels[::-1, ::-1]
        case 4:
            view = pixels[::-1]
        case 5:
            view = pixels.swapaxes(0, 1)
        case 6:
            view = np.rot90(pixels, -1)
        case 7:
            view = pixels[::-1, ::-1].swapaxes(0, 1)
        case 8:
            view = np.rot90(pixels)
        case _:
            view = pixels
    return np.ascontiguousarray(view)
