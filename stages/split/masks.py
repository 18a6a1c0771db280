"""Read a mask: one byte a pixel, 0 where nothing is wrong."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from stages.core.image_files.reading import open_image

LOSSY = ("JPEG", "MPO", "JPEG2000")


def read_mask(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Grey masks of 8 bits keep their values; in any other kind, what is not black becomes 255.

    Raises:
        UserError: the file is not a readable image, or of a lossy kind, in which edges have no exact value.
    """
    with open_image(path) as image:
        if image.format in LOSSY:
            raise ValueError(f"{image.format} blurs a mask's values, save it as PNG")
        return mask_values(ImageOps.exif_transpose(image))


def mask_values(image: Image.Image) -> UInt8[np.ndarray, "H W"]:
    if image.mode == "L":
        return np.array(image)
    if image.mode in ("P", "PA", "LA", "RGBA", "CMYK"):  # by colour; transparency says nothing of the defect
        image = image.convert("RGB")
    values = np.atleast_3d(np.asarray(image))
    return np.where(values.any(axis=2), 255, 0).astype(np.uint8)
