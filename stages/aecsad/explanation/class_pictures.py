"""A picture of each component class: some of its largest regions in training images."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from stages.aecsad.explanation.instances import Instance, find_instances
from stages.core.image_files.reading import read_image

SIDE, COLUMNS, GAP = 72, 6, 4  # pixels of a crop and between crops
MARGIN = 0.02  # around a component, in image sides
BACKGROUND = (128, 128, 128)


def class_pictures(
    images: pd.DataFrame,
    image_files: Path,
    label_maps: UInt8[np.ndarray, "N H W"],
    *,
    num_classes: int,
    min_area: float,
    examples: int,
) -> dict[int, bytes]:
    """JPEG files by class; the largest component of the class in each of the first training images that has one.

    Args:
        images: rows of the training images, in the order of the label maps.

    Raises:
        UserError: an image cannot be read.
    """
    pictures = {}
    for component in range(1, num_classes):
        crops: list[Image.Image] = []
        for file, label_map in zip(images["file"], label_maps, strict=True):
            instances = find_instances(label_map, component, min_area=min_area)
            if instances and len(crops) < examples:
                largest = max(instances, key=lambda instance: instance.area)
                crops.append(crop(read_image(image_files / file), largest))
        if crops:
            pictures[component] = sheet(crops)
    return pictures


def crop(image: UInt8[np.ndarray, "H W 3"], instance: Instance) -> Image.Image:
    """The component with a margin, at most SIDE x SIDE."""
    height, width = image.shape[:2]
    top, left, bottom, right = instance.box
    rows = slice(max(round((top - MARGIN) * height), 0), round((bottom + MARGIN) * height))
    columns = slice(max(round((left - MARGIN) * width), 0), round((right + MARGIN) * width))
    picture = Image.fromarray(image[rows, columns])
    scale = SIDE / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def sheet(crops: Sequence[Image.Image]) -> bytes:
    """The crops row by row as one JPEG."""
    step = SIDE + GAP
    columns, rows = min(COLUMNS, len(crops)), -(-len(crops) // COLUMNS)
    canvas = Image.new("RGB", (columns * step + GAP, rows * step + GAP), BACKGROUND)
    for position, picture in enumerate(crops):
        row, column = divmod(position, COLUMNS)
        free = (SIDE - picture.width) // 2, (SIDE - picture.height) // 2
        canvas.paste(picture, (GAP + column * step + free[0], GAP + row * step + free[1]))
    buffer = io.BytesIO()
    canvas.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()
