"""Heatmap pictures: their names and how they are drawn."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from stages.core.artifacts.calibration import Calibration
from stages.core.overlays import fit_within, heatmap_overlay

HEATMAPS = "heatmaps"  # folder, below the one of the results
SIZE = 512  # pixels of the longer side; the map behind it is coarser
QUALITY = 90
LONGEST = 60  # characters kept of a name: with up to 4 bytes each they stay below the 255 bytes of file systems


def heatmap_names(paths: Iterable[Path]) -> list[str]:
    """One file name a path: its name without suffix, and -2, -3, ... where that is taken.

    Names that differ by case only count as the same, since some file systems take them for the same.
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        stem = path.stem[:LONGEST]
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.jpg")
    return names


def write_heatmap(
    path: Path, picture: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "h w"], calibration: Calibration
) -> None:
    """Draw the map over the picture in the colour range that evaluation uses too."""
    image = fit_within(picture, SIZE)
    overlay = heatmap_overlay(image, anomaly_map, low=calibration.low, high=calibration.high)
    Image.fromarray(overlay).save(path, format="JPEG", quality=QUALITY)
