"""Weights of histogram columns, worked out by hand; and scores where normal images are few."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.aecsad.histogram.columns import score_histograms
from stages.aecsad.histogram.judging import Judged, judge_column
from stages.aecsad.histogram.params import HistogramParams
from stages.aecsad.model.conformal import LARGEST, read_jackknife, write_jackknife
from stages.aecsad.model.edited import EditedPictures, Seen, see_edits
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.run.errors import UserError
from tests.unit.aecsad.kits import no_parts

LIMITS = {"min_edit_auroc": 0.6, "max_inflation": 2.0}
NO_PARTS = {0: no_parts((), 0)}


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
    result = score_histograms(images, label_maps, edited, NO_PARTS, params)
    assert np.isfinite(result.table["histogram_4x4"]).all()
    column = result.reliability["histogram_4x4"]
    assert column.inflation > 1.5
    assert column.weight == pytest.approx((2 * column.edit_auroc - 1) / column.inflation)
    stricter = params.model_copy(update={"max_inflation": 1.5})
    strict = score_histograms(images, label_maps, edited, NO_PARTS, stricter)
    assert strict.reliability["histogram_4x4"].weight == 0


def test_a_verdict_without_an_image_does_not_know_it_or_its_edits() -> None:
    train, validation = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 9.0])
    rows, edited = np.array([0, 1, 1, 2]), np.array([4.0, 2.5, 5.0, 1.0])
    params = HistogramParams(grids=(4,), shrinkage=0.0, **LIMITS)
    found = Judged(train, validation, edited, rows, ["cut"] * 4, 0.6).without_each(params)
    assert [one.edit_auroc for one in found] == pytest.approx([1 / 6, 1 / 4, 5 / 6])  # by hand
    assert [one.inflation for one in found] == [3.0, 2.75, 1.25]
    alone = Judged(train, validation[:1], edited[:1], rows[:1], ["cut"], 0.6).without_each(params)
    assert [one.weight for one in alone] == [1.0]
    none = Judged(np.zeros(3), np.zeros(1), np.zeros(0), np.zeros(0, dtype=int), [], 0.6).without_each(params)
    assert [one.weight for one in none] == [0.0]  # no components: every distance is 0


def test_the_weights_without_each_image_are_kept_for_few_images(tmp_path: Path) -> None:
    scores = pd.DataFrame({"image_id": ["b", "a", "t"], "split": ["validation", "validation", "test"]})
    write_jackknife(tmp_path, ["a", "b"], pd.DataFrame({"h": [0.25, 0.5]}))
    table = read_jackknife(tmp_path, scores)
    assert table is not None
    assert table["h"].to_dict() == {"b": 0.5, "a": 0.25}
    assert list(table.index) == ["b", "a"]
    with pytest.raises(UserError, match="is of other validation images than the scores: run `dvc repro`"):
        read_jackknife(tmp_path, scores[1:])
    many = pd.DataFrame({"image_id": [str(n) for n in range(LARGEST + 1)], "split": "validation"})
    assert read_jackknife(tmp_path, many) is None
