"""Rows of edited pictures: only what is read off the label map differs from the image that was edited."""

import numpy as np
import pandas as pd

from benchmarks.edited_pictures import edited_rows
from benchmarks.fusion_rules import aurocs
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.edited import EditedPictures
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.patch_histogram import fit_histograms
from stages.core.runtime.histograms import histogram_distances

PARAMS = HistogramParams(grids=(1,), shrinkage=0.0, min_edit_auroc=0.6, max_inflation=2.0)


def make_maps(*, parts: bool) -> tuple[pd.DataFrame, pd.DataFrame, LabelMaps]:
    """Eight training and four validation images, each with one square of class 1 and one of class 2 or with nothing."""
    ids = [f"{number:02}" for number in range(12)]
    values = np.zeros((12, 32, 32), dtype=np.uint8)
    for number in range(12 if parts else 0):
        values[number, 2 : 10 + number % 3, 2:10] = 1
        values[number, 20:28, 20 : 28 + number % 4] = 2
    images = pd.DataFrame({"image_id": ids, "split": ["train"] * 8 + ["validation"] * 4})
    branches = images.iloc[8:].assign(histogram_1x1=0.0, neighbours=[1.0, 2.0, 3.0, 4.0]).reset_index(drop=True)
    return branches, images, LabelMaps(tuple(ids), values, 3 if parts else 1, np.ones(12, dtype=bool))


def test_an_edit_moves_the_histogram_and_nothing_else() -> None:
    branches, images, maps = make_maps(parts=True)
    model = fit_histograms(maps.values[:8], grid=1, num_classes=3, shrinkage=0.0)
    branches["histogram_1x1"] = histogram_distances(model, maps.values[8:])
    sources = tuple(branches["image_id"].repeat(3))
    cut = np.where(maps.values[8:] == 1, 0, maps.values[8:]).repeat(3, axis=0)
    rows = edited_rows(branches, images, maps, EditedPictures(sources, ("cut",) * 12, cut), PARAMS)
    assert list(rows.columns) == list(branches.columns)
    assert set(rows["split"]) == {"edited"}
    assert rows["neighbours"].tolist() == [score for score in (1.0, 2.0, 3.0, 4.0) for _ in range(3)]
    assert rows["image_id"].is_unique
    both = pd.concat([branches, rows], ignore_index=True)
    found = {name: aurocs(both["split"], pd.Series([None] * len(both)), both[name]) for name in branches.columns[2:]}
    assert found == {"histogram_1x1": {"edited": 100.0}, "neighbours": {"edited": 50.0}}


def test_without_components_there_is_nothing_to_edit() -> None:
    branches, images, maps = make_maps(parts=False)
    nothing = EditedPictures((), (), maps.values[:0])
    assert edited_rows(branches, images, maps, nothing, PARAMS).empty
