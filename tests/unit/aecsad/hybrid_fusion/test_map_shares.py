"""Shares of the branches' maps, by the cells of synthetic defects."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.aecsad.hybrid_fusion.branches import BranchWeight
from stages.aecsad.hybrid_fusion.map_shares import cell_auroc, weigh_maps
from stages.core.io.maps import AnomalyMaps

IMAGES = 12
IDS = tuple(f"{number:02}{end}" for number in range(IMAGES) for end in ("", "#synthetic"))
WEIGHTS = {"sharp": 0.1, "blunt": 0.9, "excluded": 0.0}


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
    """Noise of 4 x 4 cells; `sharp` sees the defects, at another resolution than `blunt`, which sees none."""
    random = np.random.default_rng(0)
    sharp, blunt = (random.normal(size=(len(IDS), side, side)) for side in (8, 4))
    for number, image_id in enumerate(IDS):
        if image_id.endswith("#synthetic"):
            sharp[number][cell_of(number, side=2)] += 3.0
    found = {"sharp": sharp, "blunt": blunt, "excluded": sharp}
    return {name: AnomalyMaps(IDS, values.astype(np.float16)) for name, values in found.items()}


def weights() -> dict[str, BranchWeight]:
    return {name: BranchWeight(weight, 0.8, None, "") for name, weight in WEIGHTS.items()}


def test_a_share_is_what_the_map_sees_of_defects_whatever_the_score_is_worth(tmp_path: Path) -> None:
    shares = weigh_maps(make_maps(), weights(), write_pictures(tmp_path, contrast=60), tmp_path)
    assert shares["sharp"] > 5 * shares["blunt"]
    assert shares["excluded"] == 0.0


@pytest.mark.parametrize(("contrast", "weighting"), [(60, "equal"), (3, "reliability")])
def test_without_a_judgement_the_shares_are_the_weights(tmp_path: Path, contrast: int, weighting: str) -> None:
    images = write_pictures(tmp_path, contrast=contrast)
    assert weigh_maps(make_maps(), weights(), images, tmp_path, weighting=weighting) == WEIGHTS  # type: ignore[arg-type]


def test_few_cells_cannot_show_that_a_map_never_errs() -> None:
    assert cell_auroc(np.zeros(9, dtype=np.float32), np.ones(4, dtype=np.float32)) == 0.875
    assert cell_auroc(np.ones(9, dtype=np.float32), np.zeros(4, dtype=np.float32)) == 0.5
