"""Pictures inside the page: it must open anywhere, also without the files it was made from."""

import base64
import hashlib
import io
import math
from pathlib import Path

from PIL import Image

LIMIT = 24 * 2**20  # bytes of all pictures as text; the page stays below 30 MB with them
BYTES_PER_PIXEL = 0.35  # of a JPEG as text, rather more than most have
LARGEST, SMALLEST = 256, 64  # pixels of a picture's longer side


def fitting_side(count: int, limit: int = LIMIT) -> int:
    """The longer side that so many pictures can have; between SMALLEST and LARGEST."""
    side = math.isqrt(int(limit / (max(count, 1) * BYTES_PER_PIXEL)))
    return min(max(side, SMALLEST), LARGEST)


class PictureStore:
    """Pictures as data URIs by key; equal files are kept once, and none beyond the limit.

    Attributes:
        uris: what the page holds.
        left_out: pictures for which there was no room.
    """

    def __init__(self, *, side: int = LARGEST, limit: int = LIMIT) -> None:
        self.side = side
        self.left = limit
        self.left_out = 0
        self.uris: dict[str, str] = {}

    def take(self, path: Path, *, shrink: bool = True) -> str | None:
        """Keep a JPEG or PNG file and return its key, or None when it no longer fits.

        Args:
            shrink: to `side` pixels; else the file is kept as it is.

        Raises:
            FileNotFoundError: the evaluation's folder is not whole.
        """
        content = path.read_bytes()
        key = hashlib.sha256(content).hexdigest()[:12]
        if key in self.uris:
            return key
        uri = data_uri(shrunk(content, self.side) if shrink else content)
        if len(uri) > self.left:
            self.left_out += 1
            return None
        self.left -= len(uri)
        self.uris[key] = uri
        return key


def shrunk(content: bytes, side: int) -> bytes:
    """The picture with a longer side of `side` pixels at most, in its own format."""
    with Image.open(io.BytesIO(content)) as image:
        if max(image.size) <= side:
            return content
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, format=image.format, quality=80, optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """A file inside of an address."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")
