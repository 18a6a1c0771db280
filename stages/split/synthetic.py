"""Synthetic defects: copies of the normal validation images with one defect each, anomalies that need no label.

How well a method or one of its branches separates them from the images they were made of shows how far it can be
relied on here, before anything of the test images is known. The lengths below are shares of the image's
shorter side; together they define the defects, and so the weights of branches.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from stages.core.io.tables import SYNTHETIC
from stages.core.runtime.reading import Window, read_like_training

KINDS = ("scratch", "pasted patch", "stain")
CENTRES = (0.08, 0.92)  # where a defect begins or has its centre, down and across
SCRATCH_LENGTHS = (0.04, 0.13)
SCRATCH_THICKNESS = (1, 2)  # pixels
SCRATCH_OPACITY = 0.6
PATCH_SIDES = (0.03, 0.09)
PATCH_ORIGINS = (0.0, 0.9)  # of the part that is copied
STAIN_AXES = (0.016, 0.047)  # half the lengths of an ellipse
STAIN_OPACITY = 0.5
STAIN_BLUR = 1.5  # pixels, deviation of a Gaussian

Picture = UInt8[np.ndarray, "H W 3"]


def synthetic_rows(truth: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each normal validation image: image_id, file and split of its copy with a defect."""
    normal = normal_validation(truth)
    ids, stems = normal["image_id"] + "#synthetic", normal["sha256"].str[:16]
    return pd.DataFrame({"image_id": ids, "file": stems + "-synthetic.png", "split": SYNTHETIC}).reset_index(drop=True)


def save_synthetic(
    folder: Path, truth: pd.DataFrame, dataset: Path, *, grey_range: Window | None = None, seed: int
) -> None:
    """Write the pictures as PNG files.

    Args:
        folder: of the image files.
        truth: table of all images.
        dataset: the data set's root.
        grey_range: what images of more than 8 bits are spread over.
        seed: of the defects' places, sizes and colours.
    """
    for file, picture in draw_defects(truth, dataset, grey_range=grey_range, seed=seed):
        Image.fromarray(picture).save(folder / file)


def draw_defects(
    truth: pd.DataFrame, dataset: Path, *, grey_range: Window | None, seed: int
) -> Iterator[tuple[str, Picture]]:
    """Yield file name and picture of each row of `synthetic_rows`, at the original's size; the kinds take turns."""
    random = np.random.default_rng(seed)
    sources = normal_validation(truth)["source_path"]
    for number, (source, file) in enumerate(zip(sources, synthetic_rows(truth)["file"], strict=True)):
        picture = read_like_training(dataset / source, grey_range)
        yield file, add_defect(picture, KINDS[number % len(KINDS)], random)


def normal_validation(truth: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of normal validation images."""
    return truth[(truth["split"] == "validation") & ~truth["is_anomalous"].astype(bool)]


def add_defect(picture: Picture, kind: str, random: np.random.Generator) -> Picture:
    """Return a copy with one small defect anywhere; grey in a grey image.

    Args:
        picture: stays as it is.
        kind: one of KINDS.
        random: decides place, size and colour.
    """
    side, picture = min(picture.shape[:2]), picture.copy()
    colour = random.integers(0, 255, 3)
    if (picture == picture[..., :1]).all():
        colour[:] = colour[0]
    x, y = two_lengths(random, CENTRES, side)
    if kind == "scratch":
        return scratched(picture, x, y, colour, random)
    if kind == "pasted patch":
        return patched(picture, x, y, random)
    return stained(picture, x, y, colour, random)


def scratched(picture: Picture, x: int, y: int, colour: np.ndarray, random: np.random.Generator) -> Picture:
    """Draw a thin line, through which the picture shows."""
    side = min(picture.shape[:2])
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(*SCRATCH_LENGTHS) * side
    end = (round(x + length * np.cos(angle)), round(y + length * np.sin(angle)))
    thickness = int(random.integers(SCRATCH_THICKNESS[0], SCRATCH_THICKNESS[1] + 1))
    drawn = picture.copy()
    cv2.line(drawn, (x, y), end, colour.tolist(), thickness, cv2.LINE_AA)
    return cv2.addWeighted(picture, 1 - SCRATCH_OPACITY, drawn, SCRATCH_OPACITY, 0)


def patched(picture: Picture, x: int, y: int, random: np.random.Generator) -> Picture:
    """Copy a rectangle of the picture to another place."""
    side = min(picture.shape[:2])
    height, width = two_lengths(random, PATCH_SIDES, side)
    row, column = two_lengths(random, PATCH_ORIGINS, side)
    x, y = min(x, picture.shape[1] - width), min(y, picture.shape[0] - height)
    picture[y : y + height, x : x + width] = picture[row : row + height, column : column + width].copy()
    return picture


def stained(picture: Picture, x: int, y: int, colour: np.ndarray, random: np.random.Generator) -> Picture:
    """Draw a blurred ellipse, through which the picture shows."""
    side = min(picture.shape[:2])
    spot = np.zeros(picture.shape[:2], dtype=np.float32)
    axes = two_lengths(random, STAIN_AXES, side)
    cv2.ellipse(spot, (x, y), axes, float(random.uniform(0, 180)), 0, 360, 1.0, -1)
    share = STAIN_OPACITY * cv2.GaussianBlur(spot, (0, 0), STAIN_BLUR)[..., None]
    return np.asarray((1 - share) * picture + share * colour, dtype=np.uint8)


def two_lengths(random: np.random.Generator, shares: tuple[float, float], side: int) -> tuple[int, int]:
    """Draw two whole numbers of pixels between shares of a side; on tiny images the lower one."""
    smallest = round(shares[0] * side)
    first, second = random.integers(smallest, max(round(shares[1] * side), smallest + 1), 2)
    return int(first), int(second)
