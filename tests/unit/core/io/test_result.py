"""The result of a method: one folder, written whole or not at all, and read as it was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.core.io.explanations import Explanations
from stages.core.io.maps import AnomalyMaps
from stages.core.io.result import MethodResult, branch_names, read_result, rows_to_score, write_result
from stages.core.runtime.explanation import Explanation

FOUND = Explanation("z_hist", 1, "area", (0.0, 0.0, 0.5, 1.0), 0.2, 0.1, 3.0, (1, 0))


@pytest.fixture
def scores() -> pd.DataFrame:
    """Two images with two branches, not sorted."""
    return pd.DataFrame(
        {"image_id": ["b", "a"], "split": "test", "score": [0.5, 2.0], "z_hist": [1.0, 2.0], "local": [3.0, 4.0]}
    )


def test_a_result_is_read_as_it_was_written(scores: pd.DataFrame, tmp_path: Path) -> None:
    maps = AnomalyMaps(("b", "a"), np.ones((2, 3, 3), dtype=np.float16))
    fusion: dict[str, Any] = {"combination": "sum", "branches": []}
    explanations = Explanations({"a": [FOUND], "b": []}, {2: b"two", 1: b"one"})
    write_result(tmp_path / "r", MethodResult(scores, maps, explanations, fusion))
    read = read_result(tmp_path / "r")
    assert read.scores["image_id"].to_list() == ["a", "b"]
    assert read.scores["score"].to_list() == [2.0, 0.5]
    assert branch_names(read.scores) == ["z_hist", "local"]
    assert read.maps is not None
    assert read.maps.image_ids == ("b", "a")
    assert read.explanations == explanations
    assert read.fusion == fusion


def test_scores_alone_are_a_result(scores: pd.DataFrame, tmp_path: Path) -> None:
    write_result(tmp_path / "r", MethodResult(scores))
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["scores.parquet"]
    read = read_result(tmp_path / "r")
    assert (read.maps, read.explanations, read.fusion) == (None, None, None)


def test_results_that_cannot_be_right_leave_nothing_behind(scores: pd.DataFrame, tmp_path: Path) -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="the score of b is not finite"):
            write_result(tmp_path / "r", MethodResult(scores.assign(score=[value, 1.0])))
    with pytest.raises(ValueError, match="image_id occurs twice: a"):
        write_result(tmp_path / "r", MethodResult(scores.assign(image_id="a")))
    other = AnomalyMaps(("a", "c"), np.ones((2, 3, 3), dtype=np.float16))
    with pytest.raises(ValueError, match="the maps are not of the 2 scored images"):
        write_result(tmp_path / "r", MethodResult(scores, other))
    assert not list(tmp_path.iterdir())


def test_all_but_training_images_are_scored_in_order() -> None:
    rows = [("c", "1.png", "test"), ("b", "2.png", "train"), ("a", "3.png", "synthetic")]
    images = pd.DataFrame(rows, columns=["image_id", "file", "split"]).assign(more=0)
    found = rows_to_score(images)
    assert found.to_dict("list") == {"image_id": ["a", "c"], "split": ["synthetic", "test"], "file": ["3.png", "1.png"]}
