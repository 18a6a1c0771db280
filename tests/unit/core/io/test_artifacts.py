"""Artefacts: what is written is read back, and damage is told with the remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from stages.aecsad.model.label_maps import LabelMaps, read_label_maps, write_label_maps
from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.io.components import ComponentMaps, read_component_maps, write_component_maps
from stages.core.io.decision import read_choice, write_choice
from stages.core.io.maps import read_anomaly_maps, to_half, write_anomaly_maps
from stages.core.io.result import branch_names, read_scores, write_scores
from stages.core.io.tables import read_images, read_table, write_images, write_table
from stages.core.io.truth import TRUTH_COLUMNS, read_truth, write_truth
from stages.core.io.weights import read_weights, write_weights
from stages.core.run.errors import UserError


def table(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_images_are_sorted_by_image_id(tmp_path: Path) -> None:
    write_images(tmp_path / "t", table(image_id=["b/ü", "a"], file=["1.png", "2.png"], split=["test", "train"]))
    read = read_images(tmp_path / "t")
    assert read.to_dict("list") == {"image_id": ["a", "b/ü"], "file": ["2.png", "1.png"], "split": ["train", "test"]}


def test_scores_keep_their_branches_in_order(tmp_path: Path) -> None:
    written = table(image_id=["b", "a"], split=["test", "test"], score=[0.5, 2.0], z_hist=[1.0, 2.0], local=[3.0, 4.0])
    write_scores(tmp_path / "s", written)
    read = read_scores(tmp_path / "s")
    assert branch_names(read) == ["z_hist", "local"]
    assert read["score"].to_list() == [2.0, 0.5]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused_with_its_image(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="the score of good/7 is not finite"):
        write_scores(tmp_path / "s", table(image_id=["x", "good/7"], split=["test", "test"], score=[1.0, value]))
    assert not (tmp_path / "s").exists()


def test_columns_out_of_place_and_double_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"columns \['file', 'image_id'\] do not begin with \['image_id', 'file'\]"):
        write_table(tmp_path / "t", table(file=["f"], image_id=["a"]), columns=("image_id", "file"))
    with pytest.raises(ValueError, match="image_id occurs twice: b"):
        write_table(tmp_path / "t", table(image_id=["a", "b", "b"]), columns=("image_id",))


def test_truth_round_trip_with_several_masks(tmp_path: Path) -> None:
    row = ["a", "a.png", "test", "test/a.png", True, "logical", "missing", ["m0.png", "m1.png"], "00ff", 640, 480]
    write_truth(tmp_path / "t", pd.DataFrame([row], columns=list(TRUTH_COLUMNS)))
    read = read_truth(tmp_path / "t").iloc[0]
    assert list(read["mask_files"]) == ["m0.png", "m1.png"]
    assert (bool(read["is_anomalous"]), int(read["width"])) == (True, 640)


def test_a_table_that_lacks_a_column_says_so(tmp_path: Path) -> None:
    write_table(tmp_path / "t", table(image_id=["a"]), columns=("image_id",))
    with pytest.raises(UserError, match="t: the column 'split' is missing: run `dvc repro`"):
        read_table(tmp_path / "t", columns=("image_id", "split"))


def test_maps_round_trip_without_loading(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    write_anomaly_maps(tmp_path / "maps", ["a", "b"], values)
    maps = read_anomaly_maps(tmp_path / "maps")
    assert maps.image_ids == ("a", "b")
    assert isinstance(maps.values, np.memmap)
    np.testing.assert_array_equal(maps.values, values)
    assert maps.branches == {}


def test_maps_of_branches_lie_beside_their_sum(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    write_anomaly_maps(tmp_path / "maps", ["a", "b"], values, {"local": values[:, :1], "global": values})
    maps = read_anomaly_maps(tmp_path / "maps")
    assert maps.branches.keys() == {"local", "global"}
    assert isinstance(maps.branches["local"], np.memmap)
    np.testing.assert_array_equal(maps.branches["local"], values[:, :1])
    with pytest.raises(ValueError, match="2 image_ids for 1 maps"):
        write_anomaly_maps(tmp_path / "maps", ["a", "b"], values, {"local": values[:1]})
    write_anomaly_maps(tmp_path / "maps", ["a", "b"], values)  # older branches do not stay
    assert read_anomaly_maps(tmp_path / "maps").branches == {}


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        (["a"], np.zeros((2, 1, 1), np.float16), "1 image_ids for 2 maps"),
        (["a"], np.full((1, 1, 1), np.nan, np.float16), "not finite as float16"),
        (["a"], np.full((1, 1, 1), 1e6, np.float32), "not finite as float16"),
    ],
)
def test_unusable_maps_are_refused(tmp_path: Path, ids: list[str], values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_anomaly_maps(tmp_path / "maps", ids, values)
    assert not (tmp_path / "maps").exists()


def test_half_precision_is_cut_off_and_keeps_nan() -> None:
    half = to_half(np.float32([0.1, 1e6, -1e6, np.inf, np.nan]))
    np.testing.assert_array_equal(half, np.float16([0.1, 65504, -65504, 65504, np.nan]))


def test_weights_round_trip(tmp_path: Path) -> None:
    state = {"b.weight": torch.arange(6.0).view(2, 3).T, "a": torch.tensor([1, 2])}
    write_weights(tmp_path / "w", state, {"width": 3, "names": ["x"]})
    read, arguments = read_weights(tmp_path / "w")
    assert arguments == {"width": 3, "names": ["x"]}
    assert sorted(read) == ["a", "b.weight"]
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "w")
    with pytest.raises(UserError, match=r"w: no readable weights \('arguments'\)"):
        read_weights(tmp_path / "w")


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_arrays(tmp_path / name, a=np.arange(5), b=np.array(["ü"]))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert list(read_arrays(tmp_path / "x", ["b", "a"])) == ["b", "a"]
    with pytest.raises(ValueError, match="pickle|Object arrays"):
        write_arrays(tmp_path / "z", a=np.array([{}]))


def test_choices_are_json_of_finite_numbers(tmp_path: Path) -> None:
    write_choice(tmp_path / "c", {"proposer": "pixels", "score": 0.5})
    assert read_choice(tmp_path / "c") == {"proposer": "pixels", "score": 0.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_choice(tmp_path / "c", {"score": float("nan")})
    (tmp_path / "c").write_text("[1]")
    with pytest.raises(UserError, match="not a JSON object"):
        read_choice(tmp_path / "c")


def test_component_and_label_maps_round_trip(tmp_path: Path) -> None:
    values = np.array([[[0, 1], [2, 2]]])
    components = ComponentMaps(("a",), values.astype(np.uint16), np.array([[0, 4, 0]], np.uint8))
    write_component_maps(tmp_path / "c", components)
    assert read_component_maps(tmp_path / "c").kinds.tolist() == [[0, 4, 0]]
    labels = LabelMaps(("a",), values.astype(np.uint8), 3, np.array([True]))
    write_label_maps(tmp_path / "l", labels)
    read = read_label_maps(tmp_path / "l")
    assert (read.image_ids, read.num_classes, read.values.tolist()) == (("a",), 3, values.tolist())
    with pytest.raises(ValueError, match="class 2 does not fit num_classes 2"):
        write_label_maps(tmp_path / "l", LabelMaps(("a",), labels.values, 2, labels.labelled))
    with pytest.raises(ValueError, match="instance 2 has no column in kinds"):
        write_component_maps(tmp_path / "c", ComponentMaps(("a",), components.values, components.kinds[:, :2]))


READERS: list[tuple[Callable[[Path], object], str]] = [
    (read_images, ""),
    (read_weights, ""),
    (read_choice, ""),
    (read_label_maps, ""),
    (read_anomaly_maps, "maps.npy"),
]


@pytest.mark.parametrize("content", [None, b"", b"no artefact", b"\x93NUMPY\x01\x00"], ids=repr)
@pytest.mark.parametrize(("read", "inner"), READERS, ids=lambda value: getattr(value, "__name__", ""))
def test_damage_is_a_user_error_with_the_remedy(
    tmp_path: Path, read: Callable[[Path], object], inner: str, content: bytes | None
) -> None:
    target = tmp_path / "artefact"
    file = target / inner if inner else target
    file.parent.mkdir(exist_ok=True)
    (file.parent / "image_ids.json").write_text(json.dumps(["a"]))
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match="artefact: .*delete it and run `dvc repro`"):
        read(target)
