"""Weights of histogram columns, worked out by hand; and scores where normal images are few."""

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.histogram.columns import judge_column, score_histograms
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.edited import EditedPictures, Seen, see_edits
from stages.aecsad.model.label_maps import LabelMaps

LIMITS = {"min_edit_auroc": 0.6, "max_inflation": 2.0}


def seen_of(validation: np.ndarray, edited: list[float]) -> Seen:
    """Distances of one edited picture of each of the first validation images."""
    rows = np.arange(len(edited)) % len(validation)
    return see_edits(validation, np.array(edited), rows=rows, kinds=["cut"] * len(edited))


def test_weight_falls_with_missed_edits_and_with_inflation() -> None:
    train, validation = np.repeat([1.0, 2.0, 3.0], 20), np.repeat([2.0, 3.0, 4.0], 20)  # medians 2 and 3
    verdict = judge_column(train=train, validation=validation, seen=seen_of(validation, [5.0, 6.0, 2.5] * 20), **LIMITS)
    auroc = 7 / 9  # 2.5 is above one of three normals, 5 and 6 above all
    assert verdict.edit_auroc == verdict.edits["cut"] == pytest.approx(auroc)
    assert verdict.inflation == 1.5
    assert verdict.weight == pytest.approx((2 * auroc - 1) / 1.5)
    closer = judge_column(train=validation, validation=train, seen=seen_of(train, [9.0] * 60), **LIMITS)
    assert closer.weight == 1.0  # normals that are closer than the training images are no merit


@pytest.mark.parametrize(
    ("train", "edited", "reason"),
    [
        (3.0, [2.0] * 9, "excluded: sees 0.0% of edited pictures (cut 0%)"),
        (1.0, [9.0] * 9, "3.00 times as far"),
        (3.0, [], "sees 50.0% of edited pictures (there are none)"),
        (3.0, [9.0] * 6 + [1.0] * 3, "(which may be chance)"),
    ],
)
def test_unreliable_columns_are_excluded(train: float, edited: list[float], reason: str) -> None:
    validation = np.full(9, 3.0)
    verdict = judge_column(train=np.full(3, train), validation=validation, seen=seen_of(validation, edited), **LIMITS)
    assert verdict.weight == 0
    assert verdict.reason.startswith("excluded")
    assert reason in verdict.reason


def test_fewer_normals_than_dimensions_give_finite_distances_and_a_verdict() -> None:
    """Five training images, 4 x 4 cells of three classes: unseen normals are farther out, which lowers the weight."""
    random = np.random.default_rng(0)
    maps = np.zeros((14, 32, 32), dtype=np.uint8)
    for label_map in maps:
        top, left = random.integers(0, 8, size=2)
        label_map[top : top + 12, left : left + 12] = 1
        label_map[20 : 26 + random.integers(4), 18 : 26 + random.integers(4)] = 2
    names = [f"{number:02d}" for number in range(14)]
    images = pd.DataFrame({"image_id": names, "split": ["train"] * 5 + ["validation"] * 5 + ["test"] * 4})
    label_maps = LabelMaps(tuple(names), maps, 3, np.ones(14, dtype=bool))
    params = HistogramParams(grids=(4,), shrinkage=0.0, **LIMITS)
    edited = EditedPictures(tuple(names[5:10]), ("cut",) * 5, np.where(maps[5:10] == 1, 0, maps[5:10]))
    result = score_histograms(images, label_maps, edited, params)
    assert np.isfinite(result.table["histogram_4x4"]).all()
    column = result.reliability["histogram_4x4"]
    assert column.inflation > 1.5
    assert column.weight == pytest.approx((2 * column.edit_auroc - 1) / column.inflation)
    strict = score_histograms(images, label_maps, edited, params.model_copy(update={"max_inflation": 1.5}))
    assert strict.reliability["histogram_4x4"].weight == 0
