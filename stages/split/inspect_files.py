"""Decode every image and mask once and note what the checks need."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image, ImageFile

from stages.core.images.reading import open_image, to_rgb
from stages.core.run.console import progress
from stages.core.run.errors import UserError
from stages.split.readers.records import Record, read_mask
from stages.split.similarity import Likeness, likeness_of

EXIF_ORIENTATION = 0x0112
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class ImageFacts:
    """Of an image that decodes: width and height in pixels after EXIF rotation, what reading it converts, its look."""

    sha256: str
    width: int
    height: int
    conversions: tuple[str, ...]
    likeness: Likeness


@dataclass(frozen=True)
class MaskFacts:
    """Of a mask that decodes: width and height in pixels, and the values other than 0 that occur."""

    sha256: str
    width: int
    height: int
    values: frozenset[int]


@dataclass(frozen=True)
class Inspection:
    """Facts by POSIX path below the data set's root; files that do not decode are in `findings` only."""

    images: dict[str, ImageFacts]
    masks: dict[str, MaskFacts]
    findings: tuple[str, ...]


def inspect_files(dataset: Path, records: Sequence[Record]) -> Inspection:
    """Decode all files of the records, on as many threads as this process may use cores."""
    images = sorted({record.path for record in records})
    masks = sorted({mask for record in records for mask in record.mask_paths})
    image_facts, bad_images = inspect(dataset, images, inspect_image, label="check images")
    mask_facts, bad_masks = inspect(dataset, masks, inspect_mask, label="check masks")
    return Inspection(image_facts, mask_facts, (*bad_images, *bad_masks))


def inspect(
    dataset: Path, names: Sequence[str], look: Callable[[Path], Facts], *, label: str
) -> tuple[dict[str, Facts], list[str]]:
    """Facts by name, and one finding for each file that cannot be read."""

    def attempt(name: str) -> Facts | str:
        try:
            return look(dataset / name)
        except UserError as error:
            return str(error).removeprefix(f"{dataset}/")

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        results = list(progress(pool.map(attempt, names), total=len(names), label=label))
    findings = [result for result in results if isinstance(result, str)]
    facts = {name: result for name, result in zip(names, results, strict=True) if not isinstance(result, str)}
    return facts, findings


def inspect_image(path: Path) -> ImageFacts:
    """Decode an image as `read_image` does.

    Raises:
        UserError: as `read_image`.
    """
    with open_image(path) as image:
        conversions = conversions_of(image)
        pixels = to_rgb(image)
    height, width, _ = pixels.shape
    likeness = likeness_of(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return ImageFacts(sha256_of(path), width, height, conversions, likeness)


def inspect_mask(path: Path) -> MaskFacts:
    """Decode a mask.

    Raises:
        UserError: as `read_mask`.
    """
    mask = read_mask(path)
    values = frozenset(int(value) for value in np.unique(mask) if value)
    return MaskFacts(sha256_of(path), mask.shape[1], mask.shape[0], values)


def conversions_of(image: Image.Image) -> tuple[str, ...]:
    """What `to_rgb` will convert, to be asked before the image is decoded."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    found = {
        "grey": image.mode in ("1", "L", "LA") or image.mode.startswith("I;16"),
        "16-bit": ";16" in image.mode or any(";16" in str(tile.args) for tile in tiles),
        "CMYK": image.mode == "CMYK",
        "palette": image.mode in ("P", "PA"),
        "alpha": image.has_transparency_data,
        "EXIF-rotated": image.getexif().get(EXIF_ORIENTATION, 1) not in (0, 1),
    }
    return tuple(name for name, is_so in found.items() if is_so)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
