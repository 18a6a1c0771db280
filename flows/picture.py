"""A picture as an address that holds the picture itself, small enough for Prefect's database."""

import base64
import mimetypes
from io import BytesIO
from pathlib import Path

from PIL import Image

INLINE_BYTES = 400_000
STEP = 0.7  # in width and height: half the pixels
SMALLEST = 64  # px; less shows nothing
QUALITY = 85  # of JPEG


def data_url(path: Path, *, limit: int = INLINE_BYTES) -> tuple[str | None, str]:
    """The picture as a data: address of at most so many bytes, before their encoding, made smaller where it must.

    Returns:
        The address, or None if there is none; and what is to be said of it.
    """
    content = path.read_bytes()
    if len(content) <= limit:
        return _url(content, mimetypes.guess_type(path.name)[0] or "application/octet-stream"), ""
    size = f"{len(content) / 1000:.0f} kB"
    try:
        with Image.open(path) as picture:
            smaller, width = _shrink(picture.convert("RGB"), limit)
    except (OSError, Image.DecompressionBombError) as error:
        return None, f"{size} are too large for the page, and cannot be made smaller ({error})"
    return _url(smaller, "image/jpeg"), f"made smaller: {width} px wide, from {size}"


def _shrink(picture: Image.Image, limit: int) -> tuple[bytes, int]:
    """A JPEG of at most so many bytes, and its width."""
    while True:
        output = BytesIO()
        picture.save(output, "JPEG", quality=QUALITY)
        if output.tell() <= limit or min(picture.size) <= SMALLEST:
            return output.getvalue(), picture.width
        picture = picture.resize((max(1, round(STEP * picture.width)), max(1, round(STEP * picture.height))))


def _url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
