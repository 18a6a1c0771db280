"""Tell by its first bytes what a file is, whatever it is called: a readable image, another kind of it, or neither."""

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from stages.core.images.kinds import FOREIGN, kind_of
from stages.core.images.reading import IMAGE_SUFFIXES

HEAD = 512  # bytes looked at
CONVERT = "convert it to PNG or JPEG"
OTHER = {  # kind: first bytes, what to do
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
WEAK = {  # too few bytes to go by alone: the name in small letters must fit, too
    "Targa": r".*\.tga",
    "icon": r".*\.(ico|cur)",
}
INDEX = "dicomdir"  # begins like a DICOM image and is none
RAW_SUFFIXES = (".cr2", ".nef", ".nrw", ".arw", ".sr2", ".dng", ".pef", ".3fr")  # TIFF with a small preview at its head
OTHER_SUFFIXES = (
    ".jfif", ".jpe", ".jif", ".jps", ".mpo", ".apng", ".dib", ".j2k", ".jpf", ".jpx", ".j2c", ".pbm", ".pnm", ".dicom",
    ".dic", ".heic", ".heif", ".avif", ".jxl", ".jxr", ".psd", ".exr", ".hdr", ".cr3", ".raf", ".orf", ".rw2", ".tga",
    ".svg", ".fits", ".nii", *RAW_SUFFIXES,
)  # fmt: skip
SPECIAL = {
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


@dataclass(frozen=True)
class Seen:
    """What a look at a file found.

    Attributes:
        image: whether it is an image, or is called like one, or may be one for all that could be seen.
        problem: why it cannot be read; None for what the reader should try.
    """

    image: bool
    problem: str | None = None


def look_at(path: Path) -> Seen:
    """Look at a file's kind and first bytes, following a link; never waits for a pipe or a device."""
    named = path.name.lower().endswith((*IMAGE_SUFFIXES, *OTHER_SUFFIXES))
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            special = next((words for is_so, words in SPECIAL.items() if is_so(found.st_mode)), "no regular file")
            return Seen(named, f"is {special}, not a file")
        if not found.st_size:
            return Seen(named, "is empty (0 bytes): replace or remove it")
        return judge_head(first_bytes(path), path.name.lower(), named=named)
    except FileNotFoundError:
        return Seen(named, "is a link to nothing" if path.is_symlink() else "does not exist")
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Seen(named, "is a link that leads back to itself")
        return Seen(True, f"cannot be opened ({error.strerror})")


def first_bytes(path: Path) -> bytes:
    """Read the first HEAD bytes; a pipe that took the file's place meanwhile is not waited for.

    Raises:
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with open(handle, "rb") as file:  # noqa: PTH123 - an open handle
        return file.read(HEAD)


def judge_head(head: bytes, name: str, *, named: bool) -> Seen:
    """Tell a file by its first bytes.

    Args:
        head: of the file.
        name: of the file in small letters.
        named: whether it is called like an image.
    """

    def begins(kind: str, pattern: bytes) -> bool:
        fits = kind not in WEAK or re.fullmatch(WEAK[kind], name, re.DOTALL) is not None
        return fits and re.match(pattern, head, re.DOTALL) is not None

    if name == INDEX:
        return Seen(False, "is the index of a DICOM folder")
    if name.endswith(RAW_SUFFIXES):
        return Seen(True, f"is of kind camera raw, which is not read: {CONVERT}")
    if (readable := kind_of(head)) is not None and readable not in FOREIGN:
        return Seen(True)
    for kind, (pattern, remedy) in OTHER.items():
        if begins(kind, pattern):
            return Seen(True, f"is of kind {kind}, which is not read: {remedy}")
    return Seen(named, None if named else "is no image by its content")
