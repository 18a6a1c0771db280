"""Read an image file of any common kind as 8-bit RGB; of more bits, a window is spread from black to white."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from stages.core.runtime.depth import DEEPEST, is_deep, is_deep_grey, stored_values
from stages.core.runtime.errors import UserError
from stages.core.runtime.kinds import DICOM, FOREIGN, FORMATS, Unsupported, image_kind, refusal
from stages.core.runtime.upright import orientation_of, turned

if TYPE_CHECKING:
    from jaxtyping import Shaped, UInt8, UInt16

MAX_PIXELS = 100_000_000  # more are refused before they are decoded
Size = int | tuple[int, int]  # side of a square, or height and width; in pixels
SMALLEST_SIDE = 16  # pixels; on fewer nothing can be judged
IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
    ".jp2", ".dcm",
)  # fmt: skip
WITHOUT_AGREED_RANGE = ("I", "F")


class TooLarge(UserError):
    """An image of more pixels than are allowed, by its header."""


@dataclass(frozen=True)
class Window:
    """Level and width, as radiologists call them: the middle and the extent of the values that are distinguished.

    Raises:
        ValueError: the width is not above 1.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}  # as part of a params model

    level: float
    width: float

    def __post_init__(self) -> None:
        """Check the width."""
        if not self.width > 1:
            raise ValueError(f"width: {self.width} should be greater than 1")


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


FULL_RANGE = Window(level=(DEEPEST + 1) / 2, width=DEEPEST + 1.0)


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
        if window is not None and image.format != DICOM and not is_deep_grey(image):
            raise UserError(
                f"{path}: a window is for 16-bit grey and DICOM images, this one is {image.mode}: remove `window` from "
                "the category's params; `grey_range` of the product sets what 16-bit images are spread over"
            )
        return to_rgb(image, path, window)


def read_like_training(
    path: Path, grey_range: Window | None, *, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "H W 3"]:
    """Read a file as the images were read that a product's models learned from.

    Args:
        path: of the file.
        grey_range: values of images of more than 8 bits that become black and white; None where the product has no
            such images.
        max_pixels: of a larger image nothing is decoded.

    Raises:
        UserError: as `read_image`; or the image has more than 8 bits, and how they were to be spread is not known.
    """
    with open_image(path, max_pixels=max_pixels) as image:
        if grey_range is None and is_deep(image):
            raise UserError(
                f"{path}: has 16 bits a channel, the product's own images have 8: save it as they were saved"
            )
        return to_rgb(image, path, grey_range)


def dicom_picture(path: Path, window: Window | None, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Read a DICOM image as an 8-bit image of format DICOM.

    Raises:
        ValueError: see `read_dicom`; pydicom is not installed.
    """
    try:
        from stages.core.runtime.dicom import read_dicom
    except ModuleNotFoundError:
        raise Unsupported("is a DICOM file, which takes pydicom: `pip install pydicom`") from None
    picture = Image.fromarray(read_dicom(path, window, max_pixels=max_pixels))
    picture.format = DICOM
    return picture


def resize_image(image: UInt8[np.ndarray, "H W 3"], size: Size) -> UInt8[np.ndarray, "h w 3"]:
    """Resize to `size`, whatever the aspect ratio was; bilinear, antialiased when shrinking.

    Raises:
        ValueError: a side is not positive.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) <= 0:
        raise ValueError(f"size must be positive, not {size}")
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def sides_of(value: Sequence[int]) -> tuple[int, int]:
    """Return height and width from a JSON file's list.

    Raises:
        TypeError, ValueError: the value is not two whole numbers.
    """
    height, width = map(int, value)
    return height, width


@contextmanager
def open_image(path: Path, window: Window | None = None, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open a file, check its size from the header, and name the file in whatever goes wrong until the block ends.

    A DICOM slice comes as 8-bit grey through `window`. MAX_PIXELS replaces Pillow's own size limit, which warns at 89
    megapixels.

    Raises:
        UserError: as for `read_image`.
    """
    Image.MAX_IMAGE_PIXELS = None
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path}: is a pipe, a socket or a device, no file: remove it")
        if status.st_size == 0:
            raise UserError(f"{path}: is empty (0 bytes): replace or remove it")
        kind = image_kind(path)
        if kind is not None and kind in FOREIGN:
            raise UserError(f"{path}: {refusal(kind)}")
        if kind == DICOM:
            yield dicom_picture(path, window, max_pixels=max_pixels)
            return
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise TooLarge(
                    f"{path}: is {width} x {height} pixels, more than {max_pixels / 1_000_000:g} megapixels: "
                    "scale it down or remove it"
                )
            yield image
    except UserError:
        raise
    except Unsupported as error:
        raise UserError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{path}: does not exist") from None
    except PermissionError as error:
        raise UserError(f"{path}: may not be read ({error.strerror}): change its permissions") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: is not an image (of the kinds {', '.join(FORMATS)}): remove it") from None
    except Exception as error:  # decoders raise whatever they like at damaged files
        reason = str(error) or type(error).__name__
        raise UserError(f"{path}: is unreadable, truncated or damaged ({reason}): replace or remove it") from None


def to_rgb(image: Image.Image, path: Path, window: Window | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """Decode an opened image and convert it to upright 8-bit RGB.

    Of more than 8 bits, `window` is spread from black to white. Without one, 16-bit grey is scaled by its full range,
    round(v / 257), so that 65535 becomes 255; of 16-bit colour Pillow keeps the high byte, which is the same within one
    level. CMYK is converted by Pillow's plain formula, without colour profiles. Transparent pixels are laid on white.

    Raises:
        Unsupported: 32 bits a channel, whose range is not stated, or deep colours that are not read.
        Exception: whatever the decoder raises.
    """
    if is_deep_grey(image) or (window is not None and is_deep(image)):
        flat = spread(stored_values(image, path), window or FULL_RANGE)
    elif image.mode in WITHOUT_AGREED_RANGE:
        raise Unsupported("32 bits a channel have no agreed range: save it with 8 or 16 bits")
    else:
        flat = image
    image.load()
    if flat.has_transparency_data:
        opaque = Image.new("RGBA", flat.size, "white")
        opaque.alpha_composite(flat.convert("RGBA"))
        flat = opaque
    return turned(np.array(flat.convert("RGB")), orientation_of(image))


def spread(values: UInt16[np.ndarray, "H W C"], window: Window) -> Image.Image:
    """Spread a window of grey or of each colour from black to white; alpha keeps its high bits."""
    table = apply_window(np.arange(DEEPEST + 1)[np.newaxis], window)[0]
    if values.shape[2] == 1:
        return Image.fromarray(table[values[:, :, 0]])
    if values.shape[2] == 3:
        return Image.fromarray(table[values])
    return Image.fromarray(np.dstack([table[values[:, :, :3]], (values[:, :, 3] >> 8).astype(np.uint8)]))
