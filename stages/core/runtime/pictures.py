"""New pictures: read one to be judged, and say how it differs in kind from those that the models learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.core.runtime.compression import FileKinds, compression_of
from stages.core.runtime.depth import is_deep
from stages.core.runtime.errors import UserError
from stages.core.runtime.kinds import DICOM, image_kind
from stages.core.runtime.reading import MAX_PIXELS, SMALLEST_SIDE, Window, open_image, read_like_training

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import UInt8
    from PIL import Image

TRANSPARENT = "is transparent all over (alpha is 0 or nearly 0 everywhere), so nothing of it is seen"
LEAST_SEEN = 0.001  # share of the pixels; below it a picture counts as transparent all over
FAINT = 32  # of 255; up to it a picture laid on white is white to the eye


def read_picture(path: Path, grey_range: Window | None, *, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Read a picture as training images were read; whatever a decoder raises is a finding about the file.

    Args:
        path: of the file.
        grey_range: see `read_like_training`.
        max_pixels: of a larger picture nothing is decoded.

    Raises:
        UserError: it cannot be read, is too small to be judged, or transparent all over.
    """
    try:
        picture = read_like_training(path, grey_range, max_pixels=max_pixels)
    except UserError:
        raise
    except Exception as error:  # decoders are others' code and raise what they like on damaged files
        problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be decoded ({problem}): replace or remove it") from None
    with open_image(path) as image:
        if is_transparent(image):
            raise UserError(f"{path}: {TRANSPARENT}: save it without its alpha channel")
    height, width, _ = picture.shape
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(f"{path}: is {width} x {height} pixels, at least {SMALLEST_SIDE} a side are needed: replace it")
    return picture


def unlike_training(path: Path, grey_range: Window | None, files: FileKinds | None) -> str | None:
    """Say how a picture's file differs from those of the training images, or has several; None where nothing does.

    Pictures of more than 8 bits are spread over a range that those of 8 bits know nothing of: brightness may differ.
    What lost something when it was saved differs from what did not, see `stages.core.runtime.compression`.

    Args:
        path: of a readable picture.
        grey_range: of the training images; None where they have 8 bits, and a deeper picture is refused.
        files: how they were saved; None where that is not known.
    """
    if image_kind(path) == DICOM:
        return None if grey_range is None else "DICOM, training images have more than 8 bits"
    with open_image(path) as image:
        notes = [] if grey_range is None or is_deep(image) else ["8 bits, training images have more"]
        if files is not None and (saved := files.difference(compression_of(path))) is not None:
            notes.append(saved)
        if (frames := number_of_frames(image)) > 1:
            notes.append(f"{frames} pages or frames, of which the first is judged")
    return "; ".join(notes) or None


def is_transparent(image: Image.Image) -> bool:
    """Report whether an opened image is transparent all over, so that only the white behind it would be seen."""
    if not image.has_transparency_data:
        return False
    return bool((np.asarray(image.convert("RGBA"))[..., 3] >= FAINT).mean() < LEAST_SEEN)


def number_of_frames(image: Image.Image) -> int:
    """Count the pages or frames of an opened image; 1 for a phone's picture with a preview next to it (MPO)."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
