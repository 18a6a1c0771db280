"""Synthetic defects are small, visible and leave the original alone; every normal validation image gets one."""

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.core.runtime.reading import read_image
from stages.split.synthetic import KINDS, add_defect, save_synthetic, synthetic_rows


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 19))
def test_a_defect_is_small_and_there(kind: str, seed: int) -> None:
    picture = np.random.default_rng(seed + 100).integers(0, 255, (200, 256, 3), dtype=np.uint8)
    before = picture.copy()
    synthetic = add_defect(picture, kind, np.random.default_rng(seed))
    np.testing.assert_array_equal(picture, before)
    rows, columns = np.nonzero((synthetic != picture).any(axis=2))
    assert len(rows) >= 5
    assert max(np.ptp(rows), np.ptp(columns)) <= 0.2 * 200


def test_a_defect_in_a_grey_image_is_grey() -> None:
    grey = np.repeat(np.random.default_rng(5).integers(0, 255, (60, 60, 1), dtype=np.uint8), 3, axis=2)
    for kind in KINDS:
        synthetic = add_defect(grey, kind, np.random.default_rng(1))
        assert (synthetic == synthetic[..., :1]).all()
        assert (synthetic != grey).any()


def test_every_normal_validation_image_and_no_other_gets_a_copy(tmp_path: Path) -> None:
    names = ["train", "normal", "also normal", "odd", "test"]
    truth = pd.DataFrame({"image_id": names, "source_path": [f"{name}.png" for name in names]})
    truth["split"] = ["train", "validation", "validation", "validation", "test"]
    truth["is_anomalous"] = [False, False, False, True, True]
    truth["sha256"] = [letter * 64 for letter in "abcde"]
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 255, (50, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    rows = synthetic_rows(truth)
    assert rows["image_id"].tolist() == ["normal#synthetic", "also normal#synthetic"]
    assert rows["file"].tolist() == ["b" * 16 + "-synthetic.png", "c" * 16 + "-synthetic.png"]
    assert set(rows["split"]) == {"synthetic"}
    folder = tmp_path / "images"
    folder.mkdir()
    save_synthetic(folder, truth, tmp_path, seed=0)
    assert sorted(path.name for path in folder.iterdir()) == sorted(rows["file"])
    first = (folder / rows["file"][0]).read_bytes()
    changed = read_image(folder / rows["file"][0]) != read_image(tmp_path / "normal.png")
    assert 5 <= changed.any(axis=2).sum() < 0.05 * 50 * 70
    save_synthetic(folder, truth, tmp_path, seed=0)
    assert (folder / rows["file"][0]).read_bytes() == first
    save_synthetic(folder, truth, tmp_path, seed=1)
    assert (folder / rows["file"][0]).read_bytes() != first
