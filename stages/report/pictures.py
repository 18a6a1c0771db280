"""Pictures inside the page: it must open anywhere, also without the files it was made from."""

import base64
from pathlib import Path

LIMIT = 24 * 2**20  # bytes of all pictures as text; the page stays below 30 MB with them


class PictureBudget:
    """Turns JPEG files into data URIs as long as there is room, and counts those left out."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.left = limit
        self.left_out = 0

    def take(self, path: Path) -> str | None:
        """The file as a data URI, or None when it no longer fits.

        Raises:
            FileNotFoundError: the evaluation's folder is not whole.
        """
        uri = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
        if len(uri) > self.left:
            self.left_out += 1
            return None
        self.left -= len(uri)
        return uri
