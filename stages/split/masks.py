"""Read masks, and tell from their pixels which cannot be masks: photographs, inverted ones, traces of compression."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Int64, Shaped, UInt8
from PIL import Image

from stages.core.runtime.kinds import Unsupported
from stages.core.runtime.reading import open_image
from stages.core.runtime.upright import UPRIGHT, orientation_of, turned

LOSSY = ("JPEG", "MPO", "JPEG2000")
LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")
WEBP_HEADER, WEBP_CHUNK, WEBP_FRAME = 12, 8, 16  # bytes before the first chunk, of a chunk's head, of a frame's
BY_COLOUR = ("P", "PA", "LA", "RGBA", "CMYK")  # transparency does not mark a defect

MOST, HALF = 0.95, 0.5  # shares of the image that no defect covers, and that few do
BORDER = 0.9  # share of the image's border that an inverted mask marks
MANY_VALUES = 16  # a mask that was scaled has more, at the edges of what it marks
KINDS = 6  # of defects in one image, each with a value, have most of what it marks; a photograph has more values
SEVERAL, UNUSUAL = 4, 8  # values: a photograph of few colours has as many, more kinds of defects in one image are rare
PATCHES = 20  # a value, in the mean: labels lie in a few, a photograph of few colours in fifty and more of each
TOUCHING = 0.01  # of neighbours that are both marked so many differ in a photograph; specks of defects lie apart
DARK, LIGHT = 32, 128  # values that compression leaves on black, where there is a white, too


@dataclass(frozen=True)
class Cover:
    """How much of an image its masks mark, all together.

    Attributes:
        marked: share of the image.
        border: share of the image's outermost pixels.
        masks: number of them.
    """

    marked: float
    border: float
    masks: int = 1

    @property
    def problem(self) -> str | None:
        """What shows that they are no masks; None where nothing does."""
        if self.marked > MOST or (self.marked > HALF and self.border > BORDER):
            return f"{self}, as an inverted mask or a photograph does"
        return None

    @property
    def doubt(self) -> str | None:
        """What is odd and may be right; None where nothing is."""
        return str(self) if self.marked > HALF else None

    def __str__(self) -> str:
        subject = "marks" if self.masks == 1 else f"its {self.masks} masks together mark"
        return f"{subject} {self.marked:.1%} of the image"


def cover_of(marked: Bool[np.ndarray, "H W"], *, masks: int = 1) -> Cover:
    """Measure what is marked."""
    border = np.concatenate([marked[0], marked[-1], marked[:, 0], marked[:, -1]])
    return Cover(float(marked.mean()), float(border.mean()), masks)


@dataclass(frozen=True)
class Mask:
    """A mask that was read.

    Attributes:
        pixels: 8-bit grey keeps its values, in any other kind what is not black is 255.
        num_values: values, or colours, other than black that the file holds.
        main_share, kinds_share: how many of the marked pixels have the most frequent of them, and one of the KINDS most
            frequent.
        patches: see `patches_of`.
        dark_share: how many of the marked pixels are nearly black, though others are white.
        rotated: whether it was turned as its EXIF says.
    """

    pixels: UInt8[np.ndarray, "H W"]
    num_values: int
    main_share: float
    kinds_share: float
    patches: float
    dark_share: float
    rotated: bool

    @property
    def cover(self) -> Cover:
        """How much of the image it marks."""
        return cover_of(self.pixels > 0)

    @property
    def problem(self) -> str | None:
        """What shows that it is no mask; None where nothing does."""
        if (covers := self.cover.problem) is not None:
            return covers
        if self.num_values > MANY_VALUES and self.kinds_share < HALF:
            return f"has {self.num_values} values next to black, as a photograph has"
        if self.patches > PATCHES and self.main_share < HALF:
            return (
                f"has {self.num_values} values next to black in {self.patches:.0f} patches each, as a photograph of "
                "few colours has"
            )
        if self.dark_share > HALF:
            return "marks more by nearly black values than by others, as a mask that was a JPEG does"
        return None

    @property
    def doubt(self) -> str | None:
        """What is odd and may be right; None where nothing is."""
        if (covers := self.cover.doubt) is not None:
            return covers
        if self.num_values > UNUSUAL:
            return f"has {self.num_values} values next to black, all of which mark the defect"
        return None


def read_mask(path: Path) -> Mask:
    """Read a mask and measure what it marks.

    Raises:
        UserError: the file is not a readable image, of a lossy kind, in which edges have no exact value, of several
            pages, or marks by its transparency or by values that are no whole numbers.
    """
    with open_image(path) as image:
        if is_lossy(image, path):
            raise Unsupported(f"is compressed with loss ({image.format}), which blurs a mask: save it as PNG")
        if getattr(image, "n_frames", 1) > 1:
            raise Unsupported(f"has {image.n_frames} pages, of which a mask has one: save one picture")  # type: ignore[attr-defined]
        rotated = orientation_of(image) not in (UPRIGHT, None)
        stored = channels_of(image)
        grey_values = stored.max(axis=2)
        pixels = grey_values if image.mode == "L" else np.where(grey_values > 0, 255, 0)
        values, counts = np.unique(grey_values[grey_values > 0], return_counts=True)
        dark = share_of_dark(values, counts)
        number, num_values = numbered(stored)
        upright = turned(pixels.astype(np.uint8), orientation_of(image))
    main, kinds = (share_of_most(np.bincount(number[number > 0]), values=count) for count in (1, KINDS))
    return Mask(upright, num_values, main, kinds, patches_of(number, num_values), dark, rotated)


def cover_together(paths: Sequence[Path]) -> Cover | None:
    """Measure what several masks of one image mark together; None where they differ in size.

    Raises:
        UserError: see `read_mask`.
    """
    together: Bool[np.ndarray, "H W"] | None = None
    for path in paths:
        marked = read_mask(path).pixels > 0
        if together is not None and together.shape != marked.shape:
            return None
        together = marked if together is None else together | marked
    return None if together is None else cover_of(together, masks=len(paths))


def is_lossy(image: Image.Image, path: Path) -> bool:
    """Report whether an opened image was compressed with loss."""
    if image.format == "WEBP":
        return b"VP8 " in webp_chunks(path.read_bytes())
    if image.format == "TIFF":
        return image.info.get("compression") in LOSSY_IN_TIFF
    return image.format in LOSSY


def webp_chunks(content: bytes) -> set[bytes]:
    """List the kinds of chunks of a WebP file and of its frames: "VP8 " holds pixels with loss, "VP8L" without."""
    kinds, start = set(), WEBP_HEADER
    while start + WEBP_CHUNK <= len(content):
        kind, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], "little")
        kinds.add(kind)
        start += WEBP_CHUNK + (WEBP_FRAME if kind == b"ANMF" else size + size % 2)
    return kinds


def channels_of(image: Image.Image) -> Shaped[np.ndarray, "H W C"]:
    """Decode an opened mask: its values, or its colours without transparency.

    Raises:
        Unsupported: only its transparency differs from pixel to pixel, or a value is no whole number.
    """
    if image.mode in BY_COLOUR:
        image.load()
        colours = np.asarray(image.convert("RGB"))
        if image.has_transparency_data and (colours == colours[:1, :1]).all():
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            if alpha.min() < alpha.max():
                raise Unsupported("marks by its transparency: save it white on black, without an alpha channel")
        return colours
    values = np.atleast_3d(np.asarray(image))
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise Unsupported("has values that are no whole numbers: save it white on black, as PNG of 8 bits")
    if values.dtype.kind in "if" and values.min(initial=0) < 0:
        raise Unsupported("has values below 0: save it white on black, as PNG of 8 bits")
    return values


def numbered(stored: Shaped[np.ndarray, "H W C"]) -> tuple[Int64[np.ndarray, "H W"], int]:
    """Number the values of pixels, or their colours, from 1 on, 0 is black; and count them."""
    marked = (stored > 0).any(axis=2)
    number = np.zeros(marked.shape, dtype=np.int64)
    pixels = stored[marked]
    found = np.zeros(len(pixels), dtype=np.int64)
    for channel in range(stored.shape[2]):  # pairs of what was found so far and the next channel
        values, place = np.unique(pixels[:, channel], return_inverse=True)
        found = np.unique(found * max(len(values), 1) + place, return_inverse=True)[1]
    number[marked] = found + 1
    return number, int(number.max(initial=0))


def patches_of(number: Int64[np.ndarray, "H W"], num_values: int) -> float:
    """Return in how many connected patches a value lies, in the mean.

    Counted are pixels without black next to them: at the edge of what it marks, a mask that was scaled has values, too.

    Returns:
        0 with fewer than SEVERAL values or too many, and where they hardly touch.
    """
    if not SEVERAL <= num_values <= MANY_VALUES:
        return 0.0
    inner = np.where(cv2.erode((number > 0).astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0, number, 0)
    if share_of_touching(inner) < TOUCHING:
        return 0.0
    each = [(inner == value).astype(np.uint8) for value in range(1, num_values + 1)]
    return float(np.mean([cv2.connectedComponents(one, connectivity=8)[0] - 1 for one in each]))


def share_of_touching(number: Int64[np.ndarray, "H W"]) -> float:
    """Return how many pairs of marked neighbours, right or below, have two values."""
    pairs = [(number[1:], number[:-1]), (number[:, 1:], number[:, :-1])]
    both = [(one > 0) & (other > 0) for one, other in pairs]
    differ = sum(int((known & (one != other)).sum()) for known, (one, other) in zip(both, pairs, strict=True))
    return differ / max(sum(int(known.sum()) for known in both), 1)


def share_of_most(counts: Int64[np.ndarray, " V"], *, values: int) -> float:
    """Return the share of so many largest counts, 1 where there is none."""
    return float(np.sort(counts)[-values:].sum() / counts.sum()) if len(counts) else 1.0


def share_of_dark(values: Shaped[np.ndarray, " V"], counts: Shaped[np.ndarray, " V"]) -> float:
    """Return the share of pixels of nearly black values where there are light ones, else 0."""
    if not len(values) or values.max() < LIGHT:
        return 0.0
    return float(counts[values < DARK].sum() / counts.sum())
