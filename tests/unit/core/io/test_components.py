"""Component maps: read as they were written, trial by trial, and refused where they do not fit together."""

from pathlib import Path

import numpy as np
import pytest

from stages.core.io.components import ComponentMaps, read_component_maps, read_trials, write_component_maps
from stages.core.run.errors import UserError

VALUES = np.array([[[0, 1], [2, 2]]], dtype=np.uint16)


def test_component_maps_round_trip(tmp_path: Path) -> None:
    components = ComponentMaps(("ä b",), VALUES, np.array([[0, 4, 0]], np.uint8))
    write_component_maps(tmp_path / "c", components)
    read = read_component_maps(tmp_path / "c")
    assert read.image_ids == ("ä b",)
    np.testing.assert_array_equal(read.values, VALUES)
    assert read.kinds.tolist() == [[0, 4, 0]]


def test_trials_are_read_by_their_names(tmp_path: Path) -> None:
    components = ComponentMaps(("a",), VALUES, np.zeros((1, 3), np.uint8))
    for name in ("merging", "clusters"):
        write_component_maps(tmp_path / "trials" / f"{name}.npz", components)
    assert list(read_trials(tmp_path)) == ["clusters", "merging"]
    assert read_trials(tmp_path / "none") == {}


def test_maps_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    kinds = np.zeros((1, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match="2 image_ids for 1 rows of values"):
        write_component_maps(tmp_path / "m.npz", ComponentMaps(("a", "b"), VALUES, kinds))
    with pytest.raises(ValueError, match="instance 2 has no column in kinds"):
        write_component_maps(tmp_path / "m.npz", ComponentMaps(("a",), VALUES, kinds))
    assert not list(tmp_path.iterdir())


def test_another_file_is_named_as_unreadable(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", image_ids=np.array(["a"]))
    with pytest.raises(UserError, match=r"m\.npz: no readable arrays .*values"):
        read_component_maps(tmp_path / "m.npz")
