"""Rotating validation: the image table of each turn, and which images calibrate."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, write_result
from stages.core.io.rotation import calibrates, rotations, with_rotated

IMAGES = pd.DataFrame(
    [
        ("a", "train", 2), ("b", "train", 1), ("c", "train", -1), ("d", "validation", 0), ("e", "test", -1),
        ("d#synthetic", "synthetic", -1), ("f", "validation_anomalous", -1),
    ],
    columns=["image_id", "split", "fold"],
)  # fmt: skip


def test_a_turn_holds_its_fold_out_and_learns_from_all_other_normal_images() -> None:
    turns = {fold: list(zip(one["image_id"], one["split"], strict=True)) for fold, one in rotations(IMAGES).items()}
    assert turns == {
        1: [("a", "train"), ("b", "validation"), ("c", "train"), ("d", "train")],
        2: [("a", "validation"), ("b", "train"), ("c", "train"), ("d", "train")],
    }
    assert rotations(IMAGES.drop(columns="fold")) == {}


def test_what_was_held_out_joins_the_scores_and_calibrates() -> None:
    scores = pd.DataFrame({"image_id": ["d", "e"], "split": ["validation", "test"], "score": [1.0, 2.0]})
    turn = pd.DataFrame({"image_id": ["a", "b"], "split": ["train", "validation"], "score": [0.0, 3.0]})
    joined = with_rotated(scores, {1: turn})
    assert joined["image_id"].to_list() == ["d", "e", "b"]
    assert joined["split"].to_list() == ["validation", "test", "rotated"]
    assert calibrates(joined["split"]).tolist() == [True, False, True]
    assert with_rotated(scores, {}) is scores


def test_a_result_needs_no_map_of_rotated_images_but_of_all_others(tmp_path: Path) -> None:
    scores = pd.DataFrame({"image_id": ["a", "d"], "split": ["rotated", "validation"], "score": [1.0, 2.0]})
    write_result(tmp_path / "fits", MethodResult(scores, AnomalyMaps(("d",), np.zeros((1, 2, 2)))))
    with pytest.raises(ValueError, match="the maps are not of the 1 scored images"):
        write_result(tmp_path / "lacks", MethodResult(scores, AnomalyMaps(("a",), np.zeros((1, 2, 2)))))
