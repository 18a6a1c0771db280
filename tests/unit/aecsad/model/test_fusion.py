"""The branches' score tables: read from their stages' folders, joined by image_id, and refused where they differ."""

from pathlib import Path

import pandas as pd
import pytest

from stages.aecsad.model.fusion import columns_of_branches, join_branches, read_branches, read_parts
from stages.core.run.errors import UserError


def write(folder: Path, table: pd.DataFrame) -> Path:
    folder.mkdir()
    table.to_parquet(folder / "scores.parquet")
    return folder


def test_rows_are_joined_by_image_id_without_training_images(tmp_path: Path) -> None:
    histogram = pd.DataFrame({"image_id": ["b", "n", "a"], "split": ["test", "train", "validation"], "h": [1, 2, 3]})
    students = pd.DataFrame({"image_id": ["a", "b"], "split": ["validation", "test"], "student_teacher": [4, 5]})
    students["student_teacher_local"] = 0  # one map's score: no branch
    branches = read_branches(write(tmp_path / "h", histogram), write(tmp_path / "s", students))
    joined = join_branches(branches)
    assert joined.to_dict("list") == {
        "image_id": ["a", "b"], "split": ["validation", "test"], "h": [3, 1], "student_teacher": [4, 5],
    }  # fmt: skip
    assert columns_of_branches(joined, ["h"]) == {"histogram": ["h"], "student_teacher": ["student_teacher"]}


def test_numbers_of_parts_are_no_column_of_the_histograms_but_a_branch_by_themselves(tmp_path: Path) -> None:
    histogram = pd.DataFrame({"image_id": ["n", "a"], "split": ["train", "test"], "h": [2.0, 3.0]})
    students = pd.DataFrame({"image_id": ["a"], "split": ["test"], "student_teacher": [4.0]})
    without, folder = write(tmp_path / "w", histogram), write(tmp_path / "h", histogram.assign(parts=[5.0, 6.0]))
    branches = read_branches(folder, write(tmp_path / "s", students))
    assert branches["histogram"].columns.tolist() == ["image_id", "split", "h"]
    parts = read_parts(folder)
    assert parts is not None
    assert parts.to_dict("list") == {"image_id": ["a"], "split": ["test"], "parts": [6.0]}
    assert read_parts(without) is None


def test_tables_of_different_images_are_refused() -> None:
    table = pd.DataFrame({"image_id": ["a", "b", "c"], "split": ["test"] * 3})
    for one, other in ((table[1:], table), (table, table[1:])):
        message = "1 images have a score of the branch .* but not of every branch, a first: run `dvc repro`"
        with pytest.raises(UserError, match=message):
            join_branches({"one": one.assign(x=0.0), "other": other.assign(y=0.0)})
