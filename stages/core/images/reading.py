"""Read an image file of any common kind as 8-bit RGB; of more bits, a window is spread from black to white."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field

from stages.core.images.kinds import DICOM, FORMATS, image_kind
from stages.core.run.errors import UserError
from stages.core.run.params import Params

MAX_PIXELS = 100_000_000  # more are refused before they are decoded
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".jp2", ".dcm")
SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
WITHOUT_AGREED_RANGE = ("I", "F")
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


class Window(Params):
    """Level and width, as radiologists call them: the middle and the extent of the values that are distinguished."""

    level: float
    width: Annotated[float, Field(gt=1)]


def apply_window(values: Shaped[np.ndarray, "H W"], window: Window) -> UInt8[np.ndarray, "H W"]:
    """Spread a window from black to white, rounded.

        y = ((x - (level - 1/2)) / (width - 1) + 1/2) 255, clipped to [0, 255]

    DICOM PS3.3, C.11.2.1.2.1 (the linear function).
    """
    share = (values.astype(np.float64) - (window.level - 0.5)) / (window.width - 1.0) + 0.5
    return np.rint(share.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def whole_range(values: Shaped[np.ndarray, "H W"]) -> Window:
    """Return the window whose ends are the smallest and the largest value."""
    low, high = float(values.min()), float(values.max())
    return Window(level=(low + high) / 2 + 0.5, width=max(high - low + 1.0, 2.0))


def read_image(path: Path, window: Window | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """Read a file as RGB of 8 bits, upright; of an animation or a page stack, the first image.

    Converted are grey, 16-bit, CMYK, palette, transparent (laid on white) and EXIF-rotated images (see `to_rgb`), and
    DICOM slices (see `read_dicom`).

    Args:
        path: of the file.
        window: values of a DICOM or 16-bit grey file that become black and white, in place of the file's own window
            or the whole range. For any other kind it is an error.

    Raises:
        UserError: the file is missing, empty, truncated, damaged, not an image, of 32 bits a channel, or larger than
            MAX_PIXELS, which is read from the header before anything is decoded.
    """
    with open_image(path, window) as image:
        return to_rgb(image if window is None else windowed(image, window, path))


def windowed(image: Image.Image, window: Window, path: Path) -> Image.Image:
    """Apply a window to a 16-bit grey image; a DICOM slice was windowed when it was opened.

    Args:
        image: opened.
        window: of grey values.
        path: of the file, for the message.

    Raises:
        UserError: the image has 8 bits or colours.
    """
    if image.format == DICOM:
        return image
    if image.mode not in SIXTEEN_BIT_GREY:
        raise UserError(
            f"{path}: a window is for 16-bit grey and DICOM images, this one is {image.mode}: remove `window` from the "
            "category's params"
        )
    return Image.fromarray(apply_window(np.asarray(ImageOps.exif_transpose(image)), window))


def dicom_picture(path: Path, window: Window | None) -> Image.Image:
    """Read a DICOM slice as an 8-bit grey image of format DICOM.

    Raises:
        ValueError: see `read_dicom`.
    """
    from stages.core.images.dicom import read_dicom

    picture = Image.fromarray(read_dicom(path, window, max_pixels=MAX_PIXELS))
    picture.format = DICOM
    return picture


def resize_image(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Resize to a square of `size` pixels, not keeping the aspect ratio; bilinear, antialiased when shrinking.

    Raises:
        ValueError: size is not positive.
    """
    if size <= 0:
        raise ValueError(f"size must be positive, not {size}")
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


@contextmanager
def open_image(path: Path, window: Window | None = None) -> Iterator[Image.Image]:
    """Open a file, check its size from the header, and name the file in whatever goes wrong until the block ends.

    A DICOM slice comes as 8-bit grey through `window`. MAX_PIXELS replaces Pillow's own size limit, which warns at 89
    megapixels.

    Raises:
        UserError: as for `read_image`.
    """
    Image.MAX_IMAGE_PIXELS = None
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: is empty (0 bytes): replace or remove it")
        if image_kind(path) == DICOM:
            yield dicom_picture(path, window)
            return
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UserError(
                    f"{path}: is {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels: "
                    "scale it down or remove it"
                )
            yield image
    except FileNotFoundError:
        raise UserError(f"{path}: does not exist") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: is not an image (of the kinds {', '.join(FORMATS)}): remove it") from None
    except DECODING_ERRORS as error:
        raise UserError(f"{path}: is unreadable, truncated or damaged ({error}): replace or remove it") from None


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """Decode an opened image and convert it to upright 8-bit RGB.

    16-bit grey is scaled by its full range, round(v / 257), so that 65535 becomes 255; of 16-bit colour Pillow keeps
    the high byte, which is the same within one level. CMYK is converted by Pillow's plain formula, without
    colour profiles. Transparent pixels are laid on white.

    Raises:
        ValueError: 32 bits a channel, whose range is not stated; and whatever the decoder raises.
    """
    if image.mode in WITHOUT_AGREED_RANGE:
        raise ValueError("32 bits a channel have no agreed range, save it with 8 or 16 bits")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in SIXTEEN_BIT_GREY:
        values = np.asarray(upright, dtype=np.uint32)
        grey = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if upright.has_transparency_data:
        opaque = Image.new("RGBA", upright.size, "white")
        opaque.alpha_composite(upright.convert("RGBA"))
        upright = opaque
    return np.array(upright.convert("RGB"))
