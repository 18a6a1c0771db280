"""Label maps: read as they were written, usable or not, and refused where they do not fit together."""

from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.model.label_maps import LabelMaps, read_label_maps, write_label_maps
from stages.core.run.errors import UserError

VALUES = np.array([[[0, 1], [2, 2]]], dtype=np.uint8)
LABELLED = np.ones(1, dtype=bool)


def test_label_maps_round_trip(tmp_path: Path) -> None:
    write_label_maps(tmp_path / "m.npz", LabelMaps(("ä b",), VALUES, 3, LABELLED))
    read = read_label_maps(tmp_path / "m.npz")
    assert (read.image_ids, read.num_classes, read.usable) == (("ä b",), 3, True)
    np.testing.assert_array_equal(read.values, VALUES)


def test_maps_without_classes_are_background_and_not_usable() -> None:
    nothing = LabelMaps(("a",), VALUES, 3, LABELLED).without_classes()
    assert (nothing.image_ids, nothing.num_classes, nothing.usable) == (("a",), 1, False)
    assert not nothing.values.any()
    assert not nothing.labelled.any()


def test_label_maps_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class 2 does not fit num_classes 2"):
        write_label_maps(tmp_path / "m.npz", LabelMaps(("a",), VALUES, 2, LABELLED))
    with pytest.raises(ValueError, match="2 image_ids, 1 maps, 1 labelled flags"):
        write_label_maps(tmp_path / "m.npz", LabelMaps(("a", "b"), VALUES, 4, LABELLED))
    (tmp_path / "m.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match="no readable arrays .*delete it and run `dvc repro`"):
        read_label_maps(tmp_path / "m.npz")
