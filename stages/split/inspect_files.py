"""Decode every image and mask once, and keep what the checks, the split and data health need of them."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stages.core.images.memory import threads_for
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.core.runtime.depth import is_deep, stored_values, stores_16_bit
from stages.core.runtime.kinds import DICOM, image_kind
from stages.core.runtime.pictures import TRANSPARENT, is_transparent, number_of_frames
from stages.core.runtime.reading import Window, open_image, to_rgb
from stages.core.runtime.upright import UPRIGHT, orientation_of
from stages.split.grey_range import Extent, extent_of, find_grey_range
from stages.split.masks import HALF, Cover, cover_together, read_mask
from stages.split.near_duplicates import PerceptualHash, perceptual_hash
from stages.split.readers.records import Record

EXIF_ROTATED = "EXIF-rotated"
SHARPNESS_SIDE = 256  # pixels at which images are compared in sharpness
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class ImageFacts:
    """Facts of an image that decodes.

    Attributes:
        width: in pixels, after EXIF rotation.
        height: in pixels, after EXIF rotation.
        conversions: made when it is read.
        brightness: mean grey value, 0 to 255.
        flaw: what shows that nothing is on it; None where nothing does.
        sharpness: variance of the Laplacian of the grey values at SHARPNESS_SIDE; low when blurred.
    """

    sha256: str
    width: int
    height: int
    conversions: tuple[str, ...]
    brightness: float
    sharpness: float
    hash: PerceptualHash
    flaw: str | None = None


@dataclass(frozen=True)
class MaskFacts:
    """Facts of a mask that decodes.

    Attributes:
        width: in pixels, after EXIF rotation.
        height: in pixels, after EXIF rotation.
        values: other than 0, that occur.
        cover: how much of the image it marks.
        problem: what shows that it is no mask, see `Mask`.
        doubt: what is odd and may be right, see `Mask`.
        rotated: whether it was turned as its EXIF says.
    """

    sha256: str
    width: int
    height: int
    values: frozenset[int]
    cover: Cover
    problem: str | None
    doubt: str | None
    rotated: bool


@dataclass(frozen=True)
class Inspection:
    """Facts by POSIX path below the data set's root; files that do not decode are in `findings` only.

    Attributes:
        extents: of the images of more than 8 bits.
        covers: what all masks of an image mark together, of images with several whose shares add up to more than HALF.
    """

    images: dict[str, ImageFacts]
    masks: dict[str, MaskFacts]
    findings: tuple[str, ...]
    extents: dict[str, Extent] = field(default_factory=dict)
    covers: dict[str, Cover] = field(default_factory=dict)

    @property
    def hashes(self) -> dict[str, PerceptualHash]:
        """Perceptual hashes of the images."""
        return {path: facts.hash for path, facts in self.images.items()}

    @property
    def contents(self) -> dict[str, str]:
        """The sha256 of the images."""
        return {path: facts.sha256 for path, facts in self.images.items()}


def inspect_files(dataset: Path, records: Sequence[Record]) -> Inspection:
    """Decode all files of the records, on as many threads as cores and memory allow.

    Deep images are compared at the range of all of them, as which are in train is not decided yet; what methods see is
    spread over the range of train.
    """
    images = sorted({record.path for record in records})
    masks = sorted({mask for record in records for mask in record.mask_paths})
    measured, _ = inspect(dataset, images, inspect_depth, label="check depths")
    extents = {path: extent for path, extent in measured.items() if extent is not None}
    common = find_grey_range(list(extents.values())) if extents else None
    image_facts, bad_images = inspect(dataset, images, partial(inspect_image, grey_range=common), label="check images")
    mask_facts, bad_masks = inspect(dataset, masks, inspect_mask, label="check masks")
    covers = inspect_together(dataset, records, mask_facts)
    return Inspection(image_facts, mask_facts, (*bad_images, *bad_masks), extents, covers)


def inspect_together(dataset: Path, records: Sequence[Record], masks: Mapping[str, MaskFacts]) -> dict[str, Cover]:
    """Return what the masks of an image mark together, by its path, see `Inspection`."""
    found: dict[str, Cover] = {}
    for record in records:
        facts = [masks[path] for path in record.mask_paths if path in masks]
        if len(facts) > 1 and sum(one.cover.marked for one in facts) > HALF:
            cover = cover_together([dataset / path for path in record.mask_paths if path in masks])
            found |= {} if cover is None else {record.path: cover}
    return found


def inspect(
    dataset: Path, names: Sequence[str], measure: Callable[[Path], Facts], *, label: str
) -> tuple[dict[str, Facts], list[str]]:
    """Return facts by name, and one finding for each file that cannot be read."""

    def attempt(name: str) -> Facts | str:
        try:
            return measure(dataset / name)
        except UserError as error:
            return str(error).removeprefix(f"{dataset}/")

    with ThreadPoolExecutor(threads_for([dataset / name for name in names])) as pool:
        results = list(progress(pool.map(attempt, names), total=len(names), label=label))
    findings = [result for result in results if isinstance(result, str)]
    facts = {name: result for name, result in zip(names, results, strict=True) if not isinstance(result, str)}
    return facts, findings


def inspect_depth(path: Path) -> Extent | None:
    """Measure the values of an image of more than 8 bits; None for any other, and for DICOM, which has a window.

    Raises:
        UserError: as `read_image`.
    """
    if path.is_file() and os.access(path, os.R_OK) and image_kind(path) == DICOM:
        return None
    with open_image(path) as image:
        return extent_of(stored_values(image, path)) if is_deep(image) else None


def inspect_image(path: Path, *, grey_range: Window | None = None) -> ImageFacts:
    """Decode an image as `read_like_training` does.

    Args:
        path: of the file.
        grey_range: what images of more than 8 bits are spread over.

    Raises:
        UserError: as `read_image`.
    """
    with open_image(path) as image:
        conversions = conversions_of(image)
        pixels = to_rgb(image, path, grey_range)
        flaw = flaw_of(image, pixels)
    height, width, _ = pixels.shape
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return ImageFacts(
        sha256_of(path), width, height, conversions, float(grey.mean()), sharpness_of(grey), perceptual_hash(grey), flaw
    )


def flaw_of(image: Image.Image, pixels: UInt8[np.ndarray, "H W 3"]) -> str | None:
    """Return what shows that nothing is on a decoded image, None where something is."""
    if is_transparent(image):
        return TRANSPARENT
    return None if (pixels != pixels[0, 0]).any() else "is of one colour all over"


def sharpness_of(grey: UInt8[np.ndarray, "H W"]) -> float:
    """Compute the variance of the Laplacian at a common size."""
    common = cv2.resize(grey, (SHARPNESS_SIDE, SHARPNESS_SIDE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(common.astype(np.float32), cv2.CV_32F).var())


def inspect_mask(path: Path) -> MaskFacts:
    """Decode a mask.

    Raises:
        UserError: as `read_mask`.
    """
    mask = read_mask(path)
    height, width = mask.pixels.shape
    return MaskFacts(
        sha256=sha256_of(path),
        width=width,
        height=height,
        values=frozenset(int(value) for value in np.unique(mask.pixels) if value),
        cover=mask.cover,
        problem=mask.problem,
        doubt=mask.doubt,
        rotated=mask.rotated,
    )


def conversions_of(image: Image.Image) -> tuple[str, ...]:
    """List what `to_rgb` will convert; to be called before the image is decoded."""
    orientation = orientation_of(image)
    found = {
        "grey": image.mode in ("1", "L", "LA") or image.mode.startswith("I;16"),
        "16-bit": ";16" in image.mode or stores_16_bit(image),
        "CMYK": image.mode == "CMYK",
        "palette": image.mode in ("P", "PA"),
        "alpha": image.has_transparency_data,
        EXIF_ROTATED: orientation not in (UPRIGHT, None),
        "of damaged EXIF": orientation is None,
        "of several pages or frames (the first is read)": number_of_frames(image) > 1,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
