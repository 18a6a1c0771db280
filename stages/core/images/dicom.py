"""Read DICOM images."""

from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import UInt8
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut

from stages.core.images.reading import Window, apply_window, whole_range

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")  # in the first, high values are dark


def read_dicom(path: Path, window: Window | None, *, max_pixels: int) -> UInt8[np.ndarray, "H W"]:
    """Read one slice as 8-bit grey.

    The values go through the file's modality transformation first (Hounsfield units in CT), then through a window.

    Args:
        path: of the file.
        window: in transformed values; None takes the file's first one, or the whole range where it has none.
        max_pixels: more are refused.

    Raises:
        ValueError: the file is damaged, has no pixels, several frames, colours, too many pixels, or a compression that
            pydicom cannot read.
    """
    try:
        data = pydicom.dcmread(path)
        check_header(data, max_pixels=max_pixels)
        values = apply_modality_lut(data.pixel_array, data)
    except (InvalidDicomError, AttributeError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"DICOM: {error}") from None
    grey = apply_window(values, window or own_window(data) or whole_range(values))
    return 255 - grey if data.PhotometricInterpretation == "MONOCHROME1" else grey


def check_header(data: pydicom.Dataset, *, max_pixels: int) -> None:
    """Raise ValueError for what cannot be read as one grey slice."""
    if int(data.get("NumberOfFrames") or 1) != 1:
        raise ValueError(f"DICOM with {data.NumberOfFrames} frames: save the slices one by one")
    if data.PhotometricInterpretation not in MONOCHROME:
        raise ValueError(f"DICOM of kind {data.PhotometricInterpretation}, readable are {' and '.join(MONOCHROME)}")
    if data.Rows * data.Columns > max_pixels:
        raise ValueError(f"DICOM of {data.Columns} x {data.Rows} pixels, at most {max_pixels} can be read")


def own_window(data: pydicom.Dataset) -> Window | None:
    """Return the first of the file's windows, None where it has none."""
    if "WindowCenter" not in data or "WindowWidth" not in data:
        return None
    level, width = (float(np.atleast_1d(value)[0]) for value in (data.WindowCenter, data.WindowWidth))
    return Window(level=level, width=width) if width > 1 else None
