"""Arrays and weights: equal content gives equal bytes, nothing is pickled, and foreign files are refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.io.weights import read_weights, write_weights
from stages.core.run.errors import UserError


def test_equal_arrays_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_arrays(tmp_path / name, a=np.arange(5), b=np.array(["ü"]))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    with zipfile.ZipFile(tmp_path / "x") as archive:  # as some releases of Python write streams: not by default
        assert {entry.extract_version for entry in archive.infolist()} == {zipfile.DEFAULT_VERSION}
    assert list(read_arrays(tmp_path / "x", ["b", "a"])) == ["b", "a"]
    with pytest.raises(ValueError, match="pickle|Object arrays"):
        write_arrays(tmp_path / "z", a=np.array([{}]))


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
