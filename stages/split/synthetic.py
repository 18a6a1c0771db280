"""Plant one defect into copies of the normal validation images: anomalies that need no label.

How well a method or one of its branches tells them from the images they were made of says how far it can be trusted on
this product, before anything of the test images is known.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from stages.core.images.reading import read_image
from stages.core.io.tables import SYNTHETIC

Picture = UInt8[np.ndarray, "H W 3"]
KINDS = ("scratch", "pasted patch", "stain")


def synthetic_rows(truth: pd.DataFrame) -> pd.DataFrame:
    """One row for each normal validation image: image_id, file and split of its copy with a defect."""
    normal = truth[(truth["split"] == "validation") & ~truth["is_anomalous"].astype(bool)]
    ids, stems = normal["image_id"] + "#synthetic", normal["sha256"].str[:16]
    return pd.DataFrame({"image_id": ids, "file": stems + "-synthetic.png", "split": SYNTHETIC}).reset_index(drop=True)


def plant_defects(truth: pd.DataFrame, dataset: Path, *, seed: int) -> Iterator[tuple[str, Picture]]:
    """File name and picture of each row of `synthetic_rows`, at the original's size; the kinds take turns.

    Args:
        dataset: the data set's root.
        seed: of the defects' places, sizes and colours.
    """
    random = np.random.default_rng(seed)
    normal = truth[(truth["split"] == "validation") & ~truth["is_anomalous"].astype(bool)]
    for number, (source, file) in enumerate(zip(normal["source_path"], synthetic_rows(truth)["file"], strict=True)):
        yield file, plant(read_image(dataset / source), KINDS[number % len(KINDS)], random)


def save_synthetic(folder: Path, truth: pd.DataFrame, dataset: Path, *, seed: int) -> None:
    """Write the pictures as PNG files."""
    for file, picture in plant_defects(truth, dataset, seed=seed):
        Image.fromarray(picture).save(folder / file)


def plant(picture: Picture, kind: str, random: np.random.Generator) -> Picture:
    """A copy with one defect of 1 to 13 % of the image's shorter side, anywhere; grey in a grey image.

    Args:
        kind: one of KINDS.
    """
    side, picture = min(picture.shape[:2]), picture.copy()
    colour = random.integers(0, 255, 3)
    if (picture == picture[..., :1]).all():
        colour[:] = colour[0]
    x, y = two_lengths(random, 0.08, 0.92, side)
    if kind == "scratch":
        return scratched(picture, x, y, colour, random)
    if kind == "pasted patch":
        return patched(picture, x, y, random)
    return stained(picture, x, y, colour, random)


def scratched(picture: Picture, x: int, y: int, colour: np.ndarray, random: np.random.Generator) -> Picture:
    """A thin line that lets four tenths of the picture through."""
    side = min(picture.shape[:2])
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(0.04, 0.13) * side
    end = (round(x + length * np.cos(angle)), round(y + length * np.sin(angle)))
    drawn = picture.copy()
    cv2.line(drawn, (x, y), end, colour.tolist(), int(random.integers(1, 3)), cv2.LINE_AA)
    return cv2.addWeighted(picture, 0.4, drawn, 0.6, 0)


def patched(picture: Picture, x: int, y: int, random: np.random.Generator) -> Picture:
    """A rectangle of the picture, laid elsewhere."""
    side = min(picture.shape[:2])
    height, width = two_lengths(random, 0.03, 0.09, side)
    row, column = two_lengths(random, 0.0, 0.9, side)
    x, y = min(x, picture.shape[1] - width), min(y, picture.shape[0] - height)
    picture[y : y + height, x : x + width] = picture[row : row + height, column : column + width].copy()
    return picture


def stained(picture: Picture, x: int, y: int, colour: np.ndarray, random: np.random.Generator) -> Picture:
    """A blurred ellipse that lets half of the picture through."""
    side = min(picture.shape[:2])
    spot = np.zeros(picture.shape[:2], dtype=np.float32)
    axes = two_lengths(random, 0.016, 0.047, side)
    cv2.ellipse(spot, (x, y), axes, float(random.uniform(0, 180)), 0, 360, 1.0, -1)
    share = 0.5 * cv2.GaussianBlur(spot, (0, 0), 1.5)[..., None]
    return np.asarray((1 - share) * picture + share * colour, dtype=np.uint8)


def two_lengths(random: np.random.Generator, low: float, high: float, side: int) -> tuple[int, int]:
    """Two whole numbers of pixels between fractions of a side; on tiny images the lower one."""
    smallest = round(low * side)
    first, second = random.integers(smallest, max(round(high * side), smallest + 1), 2)
    return int(first), int(second)
