"""Tell what kind of image a file is by its first bytes, whatever its name: names lie, and some have no suffix."""

import re
import stat
from pathlib import Path

DICOM = "DICOM"
DICOM_PREAMBLE = 128  # bytes before the letters DICM
HEAD = DICOM_PREAMBLE + 4

# Kinds that `read_image` reads, by Pillow's names. None of them runs another program.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")

# Kinds that it does not read; its message says what to do.
FOREIGN = ("HEIC", "AVIF", "JPEG XL")

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
    ("AVIF", rb".{4}ftypavi[fs]"),
    ("HEIC", rb".{4}ftyp(?:hei|hev|mif1|msf1)"),
    ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
)
PATTERNS = tuple((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in SIGNATURES)


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
        return kind_of(file.read(HEAD))


def kind_of(head: bytes) -> str | None:
    """Return the kind that the first 132 bytes of a file announce, None where they announce no image."""
    return next((kind for kind, pattern in PATTERNS if pattern.match(head)), None)
