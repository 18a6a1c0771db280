"""Anomaly maps: read without loading, branch by branch, and refused where they cannot be right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.core.io.maps import AnomalyMaps, read_anomaly_maps, write_anomaly_maps
from stages.core.runtime.maps import to_half

VALUES = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


def test_maps_round_trip_without_loading(tmp_path: Path) -> None:
    write_anomaly_maps(tmp_path / "maps", AnomalyMaps(("a", "b"), VALUES))
    maps = read_anomaly_maps(tmp_path / "maps")
    assert maps.image_ids == ("a", "b")
    assert isinstance(maps.values, np.memmap)
    np.testing.assert_array_equal(maps.values, VALUES)
    assert maps.branches == {}


def test_maps_of_branches_are_kept_next_to_their_sum(tmp_path: Path) -> None:
    branches = {"local": VALUES[:, :1], "global": VALUES}
    write_anomaly_maps(tmp_path / "maps", AnomalyMaps(("a", "b"), VALUES, branches))
    maps = read_anomaly_maps(tmp_path / "maps")
    assert maps.branches.keys() == {"local", "global"}
    assert isinstance(maps.branches["local"], np.memmap)
    np.testing.assert_array_equal(maps.branches["local"], VALUES[:, :1])
    with pytest.raises(ValueError, match="2 image_ids for 1 maps"):
        write_anomaly_maps(tmp_path / "maps", AnomalyMaps(("a", "b"), VALUES, {"local": VALUES[:1]}))
    write_anomaly_maps(tmp_path / "maps", AnomalyMaps(("a", "b"), VALUES))  # older branches are removed
    assert read_anomaly_maps(tmp_path / "maps").branches == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 1, 1), np.float16), "1 image_ids for 2 maps"),
        (np.full((1, 1, 1), np.nan, np.float16), "not finite as float16"),
        (np.full((1, 1, 1), 1e6, np.float32), "not finite as float16"),
    ],
)
def test_unusable_maps_are_refused(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_anomaly_maps(tmp_path / "maps", AnomalyMaps(("a",), values))
    assert not (tmp_path / "maps").exists()


def test_half_precision_is_cut_off_and_keeps_nan() -> None:
    half = to_half(np.float32([0.1, 1e6, -1e6, np.inf, np.nan]))
    np.testing.assert_array_equal(half, np.float16([0.1, 65504, -65504, 65504, np.nan]))
