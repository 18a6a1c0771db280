"""What saving a picture as a file has lost: to a model that has not seen them, JPEG's traces look like defects."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from stages.core.runtime.kinds import DICOM, image_kind
from stages.core.runtime.reading import open_image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COARSER = 1.25  # times the training images' coarsest step, from which a JPEG counts as compressed more strongly
TIFF_COMPRESSION = 259  # a tag, and its values:
LOSSY_IN_TIFF = (6, 7, 34892)  # kinds of JPEG
EITHER_IN_TIFF = (22610, 33003, 33005, 34712, 34887, 34934, 50001, 50002, 52546)  # JPEG 2000, XR and XL, LERC, WebP
COD, IRREVERSIBLE = b"\xff\x52", 0  # JPEG 2000: marker of the coding style, and its wavelet that rounds
SAVED_AS = "oddpart:saved_as"  # text in a PNG file that was made of a deeper image: how that one was saved


@dataclass(frozen=True)
class Compression:
    """How a file was saved.

    Attributes:
        kind: Pillow's name, such as PNG.
        lossy: whether pixels were changed; None where the file does not say.
        step: mean step by which JPEG's luma coefficients were rounded, in grey levels: 58 at quality 50, 6 at 95; None
            for other kinds.
    """

    kind: str
    lossy: bool | None
    step: float | None = None


@dataclass(frozen=True)
class FileKinds:
    """How the training images were saved.

    Attributes:
        kinds: sorted.
        lossy, lossless: whether some are; both are false where none says.
        step: the coarsest of those that have one; None where none has.
    """

    kinds: tuple[str, ...]
    lossy: bool
    lossless: bool
    step: float | None

    def difference(self, other: Compression) -> str | None:
        """Say how a picture was saved otherwise than the training images; None where nothing of that is known."""
        known = "/".join(self.kinds)
        if other.lossy and self.lossless and not self.lossy:
            return f"{other.kind} (lossy), training images {known} (lossless)"
        if other.lossy is False and self.lossy and not self.lossless:
            return f"{other.kind} (lossless), training images {known} (lossy)"
        if other.step is not None and self.step is not None and other.step > COARSER * self.step:
            return f"{other.kind} with rounding steps of {other.step:.3g}, training images up to {self.step:.3g}"
        return None


def kinds_of(files: Iterable[Compression]) -> FileKinds | None:
    """Sum up how files were saved; None where there is none.

    Of a file that does not say whether it lost something nothing is concluded about others: such a set counts as both.
    """
    found = list(files)
    if not found:
        return None
    unknown = any(one.lossy is None for one in found)
    steps = [one.step for one in found if one.step is not None]
    return FileKinds(
        tuple(sorted({one.kind for one in found})),
        unknown or any(one.lossy is True for one in found),
        unknown or any(one.lossy is False for one in found),
        max(steps, default=None),
    )


def compression_of(path: Path) -> Compression:
    """Look at a file's header.

    Raises:
        UserError: it is no readable image.
    """
    if image_kind(path) == DICOM:
        return Compression(DICOM, None)
    with open_image(path) as image, path.open("rb") as file:
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if kind == "PNG" and (copied := copied_from(image.info.get(SAVED_AS))) is not None:
            return copied
        return Compression(kind, is_lossy(kind, image, file), luma_step(image))


def note_of(saved: Compression) -> str:
    """Return the text SAVED_AS of a copy."""
    return json.dumps(asdict(saved))


def copied_from(text: object) -> Compression | None:
    """Return how the image was saved that a file is a copy of; None for a file of its own."""
    try:
        found = Compression(**json.loads(str(text)))
    except (TypeError, ValueError):
        return None
    return found if isinstance(found.kind, str) and found.lossy in (True, False, None) else None


def is_lossy(kind: str, image: Image.Image, file: BinaryIO) -> bool | None:
    """Report whether pixels were changed when the file was saved; None where it does not say."""
    match kind:
        case "JPEG":
            return True
        case "GIF":  # 256 colours
            return True
        case "WEBP":
            return webp_is_lossy(file)
        case "JPEG2000":
            return jpeg2000_is_lossy(file.read(1 << 16))
        case "TIFF":
            compression = getattr(image, "tag_v2", {}).get(TIFF_COMPRESSION)
            return None if compression in EITHER_IN_TIFF else compression in LOSSY_IN_TIFF
        case _:
            return False


def webp_is_lossy(file: BinaryIO) -> bool | None:
    """Find the first chunk of pixels in a WebP file, also within the first frame of an animation."""
    end = file.seek(0, os.SEEK_END)
    place = 12
    while place + 8 <= end:
        file.seek(place)
        head = file.read(8)
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8 "
        place += 8 + 16 if name == b"ANMF" else 8 + size + size % 2
    return None


def jpeg2000_is_lossy(head: bytes) -> bool | None:
    """Read which wavelet a JPEG 2000 file was made with: with the one that rounds something was lost.

    With the other one nothing was, unless layers were cut off at the end, of which the header says nothing: None.
    """
    place = head.find(COD)
    return True if place >= 0 and head[place + 13 : place + 14] == bytes([IRREVERSIBLE]) else None


def luma_step(image: Image.Image) -> float | None:
    """Return the mean of JPEG's first quantisation table, that of luma."""
    tables = getattr(image, "quantization", None)
    return float(np.mean(list(tables[min(tables)]))) if tables else None
