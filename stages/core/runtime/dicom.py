"""Read DICOM images."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from stages.core.runtime.kinds import Unsupported
from stages.core.runtime.reading import Window, apply_window, whole_range

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped, UInt8

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")  # in the first, high values are dark
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
META_GROUP = 0x0002  # of the header, which names the encoding of what follows
LINEAR = "LINEAR"
OF_PILLOW = ("JPEG", "JPEG2000")  # compressions that Pillow decodes for pydicom


def read_dicom(path: Path, window: Window | None, *, max_pixels: int) -> UInt8[np.ndarray, "H W ..."]:
    """Read one slice as 8-bit grey, or one colour image as 8-bit RGB.

    Grey values go through the file's modality transformation first (Hounsfield units in CT), then through a window
    or the file's table (VOI LUT). An entry that is there and empty, or not finite, counts as absent.

    Args:
        path: of the file, with DICOM's preamble or without.
        window: in transformed values; None takes the file's first table, else its first window, with the function that
            it names, or the whole range where it has neither. Padding is excluded from that range.
        max_pixels: more are refused, before anything is decoded.

    Raises:
        Unsupported: several frames, deep colours, too many pixels, or a compression that is not read.
        ValueError: the file is damaged or has no pixels.
    """
    try:
        check_compression(path)
        check_header(pydicom.dcmread(path, force=True, stop_before_pixels=True), max_pixels=max_pixels)
        data = readable(pydicom.dcmread(path, force=True))
        if data.PhotometricInterpretation in COLOUR:
            return colours_of(data)
        return greys_of(data, window)
    except Unsupported:
        raise
    except Exception as error:  # pydicom and its decoders raise whatever they like at damaged files
        raise ValueError(f"DICOM: {error or type(error).__name__}") from None


def check_compression(path: Path) -> None:
    """Refuse a file that is deflated as a whole, before it is inflated: a small one can hold gigabytes.

    Raises:
        Unsupported: it is.
    """
    with path.open("rb") as file:
        read_preamble(file, force=True)
        meta = read_dataset(
            file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag >> 16 != META_GROUP
        )
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise Unsupported("is a DICOM file deflated as a whole: save it without that")


def check_header(data: pydicom.Dataset, *, max_pixels: int) -> None:
    """Refuse what cannot be read as one image of grey or of 8-bit colours.

    Raises:
        Unsupported: it is sound, and not read.
        ValueError: an entry is missing or empty.
    """
    empty = [name for name in ("Rows", "Columns", "PhotometricInterpretation") if not data.get(name)]
    kind = data.get("PhotometricInterpretation")
    if empty:
        raise ValueError(f"without {empty[0]}")
    if int(data.get("NumberOfFrames") or 1) != 1:
        raise Unsupported(f"is a DICOM file with {data.NumberOfFrames} frames: save the slices one by one")
    if kind not in (*MONOCHROME, *COLOUR):
        raise Unsupported(f"is a DICOM file of kind {kind}: save it as PNG")
    if kind in COLOUR[:-1] and data.get("BitsAllocated") != 8:
        raise Unsupported(f"is a DICOM file with {data.get('BitsAllocated')} bits a colour: save it as PNG of 8 bits")
    if data.Rows * data.Columns > max_pixels:
        raise Unsupported(
            f"is a DICOM file of {data.Columns} x {data.Rows} pixels: at most {max_pixels} can be read, scale it down"
        )


def readable(data: pydicom.Dataset) -> pydicom.Dataset:
    """Return the data set, with the plain encoding where it has no header that names one.

    Raises:
        Unsupported: its compression needs a decoder that is not installed.
        ValueError: it has no pixels.
    """
    if not any(data.get(name) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError("without pixels")
    if "TransferSyntaxUID" not in data.file_meta:
        implicit = data.original_encoding[0]
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    encoding = data.file_meta.TransferSyntaxUID
    if encoding.is_encapsulated and not get_decoder(encoding).is_available:
        raise Unsupported(
            f"is a DICOM file compressed as {encoding.name}, for which no decoder is installed: save it uncompressed, "
            "e.g. with `gdcmconv --raw`"
        )
    if encoding.is_encapsulated:
        check_frame(data)
    return data


def check_frame(data: pydicom.Dataset) -> None:
    """Compare the size that a compressed picture names with that of the header, as it is decoded whatever its size.

    Raises:
        ValueError: they differ.
    """
    frame = get_frame(data.PixelData, 0, number_of_frames=1)
    try:
        with Image.open(io.BytesIO(frame), formats=OF_PILLOW) as picture:
            size = picture.size
    except UnidentifiedImageError:  # of another compression, whose decoder is given the size
        return
    if size != (data.Columns, data.Rows):
        raise ValueError(f"its picture is {size[0]} x {size[1]}, its header says {data.Columns} x {data.Rows}")


def greys_of(data: pydicom.Dataset, window: Window | None) -> UInt8[np.ndarray, "H W"]:
    """Return the grey values through a window; in MONOCHROME1 high values are dark.

    Raises:
        ValueError: a value is not finite.
    """
    stored = data.pixel_array
    values = transformed(stored, data)
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    if window is None and data.get("VOILUTSequence"):
        grey = through_table(values, data)
    elif window is None and (own := own_window(data)) is not None:
        grey = through_own_window(values, own, str(data.get("VOILUTFunction") or LINEAR))
    else:
        image = values[~padding(stored, data)]
        grey = apply_window(values, window or whole_range(image if image.size else values))
    return 255 - grey if data.PhotometricInterpretation == "MONOCHROME1" else grey


def transformed(stored: Shaped[np.ndarray, "H W"], data: pydicom.Dataset) -> Shaped[np.ndarray, "H W"]:
    """Apply the file's table or its slope and intercept, which are 1 and 0 where they are not finite numbers."""
    if data.get("ModalityLUTSequence"):
        return apply_modality_lut(stored, data)
    slope, intercept = finite(data, "RescaleSlope"), finite(data, "RescaleIntercept")
    return stored * (1.0 if slope is None else slope) + (0.0 if intercept is None else intercept)


def through_table(values: Shaped[np.ndarray, "H W"], data: pydicom.Dataset) -> UInt8[np.ndarray, "H W"]:
    """Return the grey values through the file's first table, spread from 0 to the most that its bits can hold."""
    bits = data.VOILUTSequence[0].LUTDescriptor[2]
    shown = apply_voi(np.rint(values).astype(np.int64), data)
    return np.asarray(np.rint(shown.clip(0, 2**bits - 1) / (2**bits - 1) * 255.0), dtype=np.uint8)


def through_own_window(values: Shaped[np.ndarray, "H W"], window: Window, function: str) -> UInt8[np.ndarray, "H W"]:
    """Return the grey values through the file's window with the function that it names (DICOM PS3.3, C.11.2.1.3).

        LINEAR_EXACT: y = ((x - level) / width + 1/2) 255;    SIGMOID: y = 255 / (1 + exp(-4 (x - level) / width))

    Raises:
        Unsupported: it is neither of these nor LINEAR, see `apply_window`.
    """
    place = (values.astype(np.float64) - window.level) / window.width
    share: Float[np.ndarray, "H W"]
    match function:
        case "LINEAR":
            return apply_window(values, window)
        case "LINEAR_EXACT":
            share = (place + 0.5).clip(0.0, 1.0)
        case "SIGMOID":
            share = 0.5 + 0.5 * np.tanh(2.0 * place)  # the same, which no value makes overflow
        case _:
            raise Unsupported(f"is a DICOM file whose window is of the function {function}: save it as PNG")
    return np.rint(share * 255.0).astype(np.uint8)


def padding(stored: Shaped[np.ndarray, "H W"], data: pydicom.Dataset) -> Bool[np.ndarray, "H W"]:
    """Report which pixels only fill the image's frame: the padding value, or all from it to its range limit."""
    value, limit = finite(data, "PixelPaddingValue"), finite(data, "PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = np.array([value, value if limit is None else limit])
    if stored.dtype.kind in "iu":
        ends = ends.astype(np.int64).astype(stored.dtype)  # the sign of these entries is often written wrong
    return np.asarray((stored >= ends.min()) & (stored <= ends.max()))


def own_window(data: pydicom.Dataset) -> Window | None:
    """Return the first of the file's windows, None where it has none."""
    level, width = finite(data, "WindowCenter"), finite(data, "WindowWidth")
    return None if level is None or width is None or width <= 1 else Window(level=level, width=width)


def pixels_in(path: Path) -> int:
    """Read how many pixels a file says it has; 0 where it is deflated as a whole, which is not read.

    Raises:
        Exception: whatever pydicom raises at a damaged file.
    """
    try:
        check_compression(path)
    except Unsupported:
        return 0
    data = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
    return int(data.get("Rows") or 0) * int(data.get("Columns") or 0)


def finite(data: pydicom.Dataset, name: str) -> float | None:
    """Return the first value of an entry, None where it is absent, empty, no number, or not finite."""
    try:
        value = float(np.atleast_1d(data.get(name))[0])
    except (TypeError, ValueError, IndexError):
        return None
    return value if math.isfinite(value) else None


def colours_of(data: pydicom.Dataset) -> UInt8[np.ndarray, "H W 3"]:
    """Return RGB; a palette of 16 bits keeps its high bytes."""
    if data.PhotometricInterpretation != "PALETTE COLOR":
        return np.asarray(data.pixel_array)
    colours = apply_color_lut(data.pixel_array, data)
    return np.asarray(colours if colours.dtype == np.uint8 else colours >> 8, dtype=np.uint8)
