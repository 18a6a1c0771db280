"""Tables: sorted, with checked columns and a unique image_id; and the truth of a split."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.core.io.tables import image_files, read_images, read_table, write_images, write_table
from stages.core.io.truth import TRUTH_COLUMNS, component_files, health_file, mask_files, read_truth, write_truth
from stages.core.run.errors import UserError


def table(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_images_are_sorted_by_image_id(tmp_path: Path) -> None:
    write_images(tmp_path, table(image_id=["b/ü", "a"], file=["1.png", "2.png"], split=["test", "train"]))
    read = read_images(tmp_path)
    assert read.to_dict("list") == {"image_id": ["a", "b/ü"], "file": ["2.png", "1.png"], "split": ["train", "test"]}
    assert image_files(tmp_path).parent == tmp_path


def test_of_many_training_images_some_are_kept_evenly_spread_and_all_others(tmp_path: Path) -> None:
    names = [f"{number:02d}" for number in range(12)]
    split = ["test", *["train"] * 9, "validation", "test"]
    write_images(tmp_path, table(image_id=names, file=names, split=split))
    kept = read_images(tmp_path, most_training=3)
    assert kept["image_id"].to_list() == ["00", "01", "05", "09", "10", "11"]
    assert len(read_images(tmp_path, most_training=9)) == len(read_images(tmp_path)) == 12


def test_columns_out_of_place_and_double_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"columns \['file', 'image_id'\] do not begin with \['image_id', 'file'\]"):
        write_table(tmp_path / "t", table(file=["f"], image_id=["a"]), columns=("image_id", "file"))
    with pytest.raises(ValueError, match="image_id occurs twice: b"):
        write_table(tmp_path / "t", table(image_id=["a", "b", "b"]), columns=("image_id",))


def test_a_table_that_lacks_a_column_says_so(tmp_path: Path) -> None:
    write_table(tmp_path / "t", table(image_id=["a"]), columns=("image_id",))
    with pytest.raises(UserError, match="t: the column 'split' is missing: run `dvc repro`"):
        read_table(tmp_path / "t", columns=("image_id", "split"))


def test_truth_round_trip_with_several_masks(tmp_path: Path) -> None:
    row = ["a", "a.png", "test", "test/a.png", True, "logical", "missing", ["m0.png", "m1.png"], "00ff", 640, 480]
    write_truth(tmp_path, pd.DataFrame([row], columns=list(TRUTH_COLUMNS)))
    read = read_truth(tmp_path).iloc[0]
    assert list(read["mask_files"]) == ["m0.png", "m1.png"]
    assert (bool(read["is_anomalous"]), int(read["width"])) == (True, 640)
    places = {mask_files(tmp_path), component_files(tmp_path), health_file(tmp_path)}
    assert len(places) == 3
    assert {place.parent for place in places} == {tmp_path}
