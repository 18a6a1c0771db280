"""Shares of the branches' maps, by the cells of synthetic defects."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.aecsad.hybrid_fusion.branches import BranchWeight
from stages.aecsad.hybrid_fusion.map_shares import overlap, weigh_maps
from stages.core.io.maps import AnomalyMaps

IMAGES = 12
IDS = tuple(f"{number:02}{end}" for number in range(IMAGES) for end in ("", "#synthetic"))


def write_pictures(folder: Path, *, contrast: int) -> pd.DataFrame:
    """Grey pictures of 32 px and copies that differ in one cell of 8 px, at another place in each; the image table."""
    rows = []
    for number, image_id in enumerate(IDS):
        picture = np.full((32, 32, 3), 100, dtype=np.uint8)
        if synthetic := image_id.endswith("#synthetic"):
            picture[cell_of(number, side=8)] += contrast
        Image.fromarray(picture).save(folder / f"{number}.png")
        rows.append((image_id, f"{number}.png", "synthetic" if synthetic else "validation"))
    return pd.DataFrame(rows, columns=["image_id", "file", "split"])


def cell_of(number: int, *, side: int) -> tuple[slice, slice]:
    row, column = divmod(number % 16, 4)
    return slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)


def make_maps() -> dict[str, AnomalyMaps]:
    """Noise; `sharp` sees the defects, at another resolution than `blunt`, which sees none."""
    random = np.random.default_rng(0)
    sharp, blunt = (random.normal(size=(len(IDS), side, side)) for side in (8, 4))
    for number, image_id in enumerate(IDS):
        if image_id.endswith("#synthetic"):
            sharp[number][cell_of(number, side=2)] += 2.0
    return {name: AnomalyMaps(IDS, one.astype(np.float16)) for name, one in {"sharp": sharp, "blunt": blunt}.items()}


def share_of_sharp(folder: Path, *, weight: float, contrast: int = 60) -> float:
    """The share where the blunt branch has weight 1."""
    weights = {name: BranchWeight(one, 0.8, None, "") for name, one in (("sharp", weight), ("blunt", 1.0))}
    images = write_pictures(folder, contrast=contrast)
    shares = weigh_maps(images, make_maps(), weights, images, folder)
    assert sum(shares.values()) == pytest.approx(1.0)
    return shares.get("sharp", 0.0)


def test_maps_come_closer_to_equal_shares_only_where_that_covers_defects_better(tmp_path: Path) -> None:
    assert share_of_sharp(tmp_path, weight=1 / 9) == 0.5  # as far as it may
    assert share_of_sharp(tmp_path, weight=9.0) == 0.9  # as the score has it
    assert share_of_sharp(tmp_path, weight=1 / 9, contrast=3) == pytest.approx(0.1)  # no visible defect to judge by
    assert share_of_sharp(tmp_path, weight=0.0) == 0.0  # no map of what has no weight


def test_overlap_is_the_area_under_the_curve_of_each_defect_up_to_the_limit() -> None:
    """A cell above all normal ones counts 1, one below 15 % of them half, one below the limit of 30 % nothing."""
    normal = np.arange(100, dtype=np.float32).reshape(1, 10, 10)
    maps = np.array([[[200.0, 84.5]], [[69.5, 0.0]], [[500.0, 500.0]]], dtype=np.float32)
    defects = np.array([[[True, True]], [[True, False]], [[False, False]]])
    assert overlap(normal, maps, defects) == pytest.approx(((1 + 0.5) / 2 + 0) / 2)
