"""Truth, scores and maps are joined on image_id, and refused when they do not fit."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from stages.core.io.maps import AnomalyMaps
from stages.core.run.errors import UserError
from stages.evaluation.inputs import colour_range, join_truth, maps_by_image, read_product
from tests.table import violations
from tests.unit.evaluation.case import Case


def make_truth() -> pd.DataFrame:
    rows = [("a", "train", False), ("b", "validation", False), ("c", "validation", True), ("d", "test", False),
            ("e", "test", True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["image_id", "split", "is_anomalous"])


def make_scores() -> pd.DataFrame:
    rows = [("b", "validation", 1.0), ("c", "validation_anomalous", 5.0), ("d", "test", 2.0), ("e", "test", 4.0)]
    return pd.DataFrame(rows, columns=["image_id", "split", "score"]).assign(branch=[0.0, 0.1, 0.2, 0.3])


def test_rows_are_matched_by_id_and_not_by_position() -> None:
    joined = join_truth(make_scores().iloc[::-1], make_truth().iloc[[3, 1, 0, 4, 2]])
    assert joined["image_id"].tolist() == ["b", "c", "d", "e"]
    assert joined["score"].tolist() == [1.0, 5.0, 2.0, 4.0]
    assert joined["is_anomalous"].tolist() == [False, True, False, True]
    assert joined["split"].tolist() == ["validation", "validation_anomalous", "test", "test"]


def test_synthetic_defects_are_not_judged() -> None:
    synthetic = pd.DataFrame([("b#synthetic", "synthetic", 9.0, 0.9)], columns=["image_id", "split", "score", "branch"])
    joined = join_truth(pd.concat([make_scores(), synthetic]), make_truth())
    assert joined["image_id"].tolist() == ["b", "c", "d", "e"]


def test_a_score_that_is_not_finite_is_refused() -> None:
    def check(value: float, column: str) -> None:
        scores = make_scores()
        scores.loc[3, column] = value
        with pytest.raises(UserError, match=f"'{column}' of the scores is not finite for: e"):
            join_truth(scores, make_truth())

    assert violations(check, product([np.nan, np.inf, -np.inf], ["score", "branch"])) == []


def test_a_branch_that_was_dropped_is_allowed() -> None:
    assert join_truth(make_scores().assign(branch=np.nan), make_truth())["branch"].isna().all()


def test_scores_of_unknown_images_are_refused() -> None:
    with pytest.raises(UserError, match="the truth does not know: e"):
        join_truth(make_scores(), make_truth().iloc[:4])


def test_anomalies_that_a_method_learned_from_have_no_score() -> None:
    joined = join_truth(make_scores().drop(index=1), make_truth())
    assert joined["image_id"].tolist() == ["b", "d", "e"]


def test_images_without_a_score_are_refused() -> None:
    def check(position: int) -> None:
        scores = make_scores().drop(index=position)
        with pytest.raises(UserError, match=f"without a score: {'bcde'[position]}"):
            join_truth(scores, make_truth())

    assert violations(check, zip([0, 2, 3])) == []


def test_many_ids_are_counted() -> None:
    scores = pd.DataFrame({"image_id": [f"x{i}" for i in range(8)], "split": "test", "score": 0.0})
    with pytest.raises(UserError, match="x0, x1, x2, x3, x4 and 3 more"):
        join_truth(scores, make_truth())


def test_another_split_is_refused() -> None:
    with pytest.raises(UserError, match="another split than the truth: c"):
        join_truth(make_scores().replace({"split": {"validation_anomalous": "validation"}}), make_truth())


def test_an_image_named_twice_is_refused(case: Case) -> None:
    with pytest.raises(UserError, match="twice in the scores: d"):
        join_truth(make_scores().iloc[[0, 1, 2, 2, 3]], make_truth())
    case.write_truth(case.truth.iloc[[0, 0, 1]])
    with pytest.raises(UserError, match="twice in the truth: test/ä 10"):
        read_product(case.root / "split/inputs", case.root / "split/truth")


def test_a_branch_must_not_hide_the_truth() -> None:
    with pytest.raises(ValueError, match="is_anomalous"):
        join_truth(make_scores().rename(columns={"branch": "is_anomalous"}), make_truth())


def test_an_empty_part_is_refused() -> None:
    def check(split: str, message: str) -> None:
        scores, truth = make_scores(), make_truth()
        gone = truth["image_id"][(truth["split"] == split) & ((split == "test") | ~truth["is_anomalous"])]
        with pytest.raises(UserError, match=message):
            join_truth(scores[~scores["image_id"].isin(gone)], truth[~truth["image_id"].isin(gone)])

    rows = [("test", "no test image"), ("validation", "no normal validation")]
    assert violations(check, rows) == []


def make_maps(*image_ids: str, value: float = 0.0) -> AnomalyMaps:
    return AnomalyMaps(image_ids, np.full((len(image_ids), 2, 2), value, dtype=np.float16))


def test_maps_must_fit() -> None:
    def check(maps: AnomalyMaps, message: str) -> None:
        joined = pd.DataFrame({"image_id": ["v", "t"], "split": ["validation", "test"]})
        with pytest.raises(UserError, match=message):
            maps_by_image(maps, joined)

    rows = [
        (make_maps("v"), "scored images without a map: t"),
        (make_maps("t"), "scored images without a map: v"),
        (make_maps("v", "t", "x"), "not to be evaluated: x"),
        (make_maps("v", "t", "t"), "images with two maps: t"),
        (make_maps("v", "t", value=np.inf), "maps that are not finite: t, v"),
        (AnomalyMaps(("v", "t"), np.zeros((2, 0, 3), dtype=np.float16)), r"shape \(2, 0, 3\) for 2 images"),
        (AnomalyMaps(("v", "t"), np.zeros((1, 2, 2), dtype=np.float16)), r"shape \(1, 2, 2\) for 2 images"),
    ]
    assert violations(check, rows) == []


def test_maps_of_images_that_are_not_judged_are_excluded() -> None:
    joined = pd.DataFrame({"image_id": ["v", "t"], "split": ["validation", "test"]})
    assert maps_by_image(make_maps("v", "t", "s"), joined, not_judged={"s"}).keys() == {"v", "t"}
    assert maps_by_image(None, joined) == {}


def test_colours_come_from_normal_validation_images() -> None:
    joined = pd.DataFrame({"image_id": ["v", "w", "t"], "split": ["validation", "validation_anomalous", "test"]})
    maps = {"v": np.array([[1, 2, 3]], dtype=np.float16), "w": np.array([[99]]), "t": np.array([[77]])}
    assert colour_range(joined, maps, budget=0.05) == (2.0, 3.0)
    assert colour_range(joined, {"v": np.ones((2, 2))}, budget=0.05) == (1.0, 2.0)
    assert colour_range(joined, {}, budget=0.05) == (0.0, 1.0)


def test_a_training_image_that_was_held_out_in_its_turn_is_joined_and_needs_no_map() -> None:
    rotated = pd.DataFrame([("a", "rotated", 3.0, 0.4)], columns=["image_id", "split", "score", "branch"])
    joined = join_truth(pd.concat([make_scores(), rotated]), make_truth())
    assert joined[["image_id", "split"]].to_numpy().tolist()[0] == ["a", "rotated"]
    maps = AnomalyMaps(tuple("bcde"), np.zeros((4, 2, 2), dtype=np.float16))
    assert set(maps_by_image(maps, joined)) == set("bcde")
    seen = make_scores().assign(split=lambda table: table["split"].replace("test", "rotated"))
    with pytest.raises(UserError, match="another split than the truth: d, e"):
        join_truth(seen, make_truth())
