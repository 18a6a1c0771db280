"""Recognise what kind of image a file is by its first bytes, whatever its name: names lie, and some have no suffix."""

import re
import stat
from pathlib import Path

DICOM = "DICOM"
HEAD = 512  # bytes looked at

# Kinds that `read_image` reads, by Pillow's names. None of them runs another program.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")

CONVERT = "convert it to PNG or JPEG"
FOREIGN = {  # kinds that it does not read: first bytes, what to do
    "HEIC or AVIF": (
        rb".{4}ftyp(?:.{4}){0,8}?(?:hei[cxms]|hev[cx]|mif1|msf1|avi[fs])",
        f"{CONVERT}; an iPhone saves JPEG with Settings, Camera, Formats, Most Compatible",
    ),
    "Canon raw": (rb".{4}ftypcrx", CONVERT),
    "JPEG XL": (rb"\xff\x0a|\0\0\0\x0cJXL ", CONVERT),
    "JPEG XR": (rb"II\xbc[\0\x01]", CONVERT),
    "Photoshop": (rb"8BPS", CONVERT),
    "OpenEXR": (rb"\x76\x2f\x31\x01", CONVERT),
    "Radiance HDR": (rb"#\?(?:RADIANCE|RGBE)", CONVERT),
    "camera raw": (rb"FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0", CONVERT),
    "FITS": (rb"SIMPLE  =", CONVERT),
    "DirectDraw surface": (rb"DDS \x7c", CONVERT),
    "QOI": (rb"qoif.{8}[\x03\x04][\0\x01]", CONVERT),
    "PAM": (rb"P7\n", CONVERT),
    "icon": (rb"\0\0[\x01\x02]\0.\0.{3}[\0\x01]", CONVERT),
    "Targa": (rb".[\0\x01][\x01-\x03\x09-\x0b].{13}[\x08\x10\x18\x20][\0-\x2f]", CONVERT),
    "NIfTI": (rb"\x5c\x01\0\0|\0\0\x01\x5c", "convert its slices to PNG or DICOM"),
    "SVG": (rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]", CONVERT),
}
RAW = "camera raw"
RAW_SUFFIXES = (".cr2", ".nef", ".nrw", ".arw", ".sr2", ".dng", ".pef", ".3fr")  # TIFF with a small preview at its head
WEAK = {  # too few bytes to go by alone: the name must fit, too
    "Targa": (".tga",),
    "icon": (".ico", ".cur"),
}

SIGNATURES = (
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("JPEG", rb"\xff\xd8\xff"),
    ("TIFF", rb"II[*+]\0|MM\0[*+]"),
    # Bytes 14 to 17 are the size of BMP's second header: a text that begins with BM has another one.
    ("BMP", rb"BM.{12}(?:\x0c|\x10|\x28|\x34|\x38|\x40|\x6c|\x7c)\0\0\0"),
    ("WEBP", rb"RIFF.{4}WEBP"),
    ("GIF", rb"GIF8[79]a"),
    ("PPM", rb"P[1-6][\s#]+\d|P[1-6]\s*#|P[Ff]\s+\d"),  # a text may begin with P1, too
    ("JPEG2000", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
    (DICOM, rb".{128}DICM"),
    # Without the preamble DICOM begins with a tag of group 0002 or 0008, then two letters or a short, even length.
    (
        DICOM,
        rb"(?:\x02\0[\0\x01\x02\x10]|\x08\0[\0\x01\x05\x06\x08\x10-\x18])\0"
        rb"(?:CS|DA|LO|OB|SH|TM|UI|UL|[\0-\x7e]\0\0\0)",
    ),
)
PATTERNS = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (*SIGNATURES, *((kind, pattern) for kind, (pattern, _) in FOREIGN.items()))
)


class Unsupported(ValueError):
    """A sound image of a kind that is not read; the text goes on after the file's name and says what to do."""


def image_kind(path: Path) -> str | None:
    """Return the kind of image that a file's first bytes announce; None for any other file, and for what is no file.

    What follows those bytes may still be damaged. Pipes, sockets and devices are not opened, as they could block.

    Returns:
        One of FORMATS or DICOM, which `read_image` reads, or of FOREIGN, which it refuses with a remedy.

    Raises:
        OSError: it does not exist or cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as file:
        return kind_of(file.read(HEAD), path.name)


def kind_of(head: bytes, name: str) -> str | None:
    """Return the kind that the first HEAD bytes of a file announce, None where they announce no image.

    Args:
        head: the bytes.
        name: of the file, for kinds that are not told by their first bytes alone.
    """
    small = name.lower()
    for kind, pattern in PATTERNS:
        if pattern.match(head) and small.endswith(WEAK.get(kind, "")):
            return RAW if kind == "TIFF" and small.endswith(RAW_SUFFIXES) else kind
    return None


def refusal(kind: str) -> str:
    """Say of a kind of FOREIGN that it is not read, and what to do; it goes on after the file's name."""
    return f"is of kind {kind}, which is not read: {FOREIGN[kind][1]}"
