"""The stage lsa: nothing by default, pasted versions of every training image on request."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from stages.aecsad.cluster.pasted_components.__main__ import main

from stages.aecsad.model.label_maps import LabelMaps, read_pasted_images, write_label_maps
from stages.core.io.tables import write_images
from tests.params_files import write_params

OPTIONS = ["--images", "images.parquet", "--image-files", "files", "--labels", "labels.npz", "--pasted", "out/p.npz"]
SIZE = 64


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three training images and a test image, twice as large as the label maps: a red square on grey."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    image = np.full((2 * SIZE, 2 * SIZE, 3), 128, dtype=np.uint8)
    image[20:40, 20:40] = (200, 0, 0)
    names = ["a", "b", "c", "d"]
    for name in names:
        Image.fromarray(image).save(tmp_path / "files" / f"{name}.png")
    table = {"image_id": names, "file": [f"{name}.png" for name in names], "split": ["train"] * 3 + ["test"]}
    write_images(tmp_path / "images.parquet", pd.DataFrame(table))
    write_labels(("c", "a", "b"))
    return tmp_path


def write_labels(names: tuple[str, ...], *, num_classes: int = 2, left: int = 10) -> None:
    labels = np.zeros((len(names), SIZE, SIZE), dtype=np.uint8)
    labels[:, 10:20, left : left + 10] = num_classes - 1
    write_label_maps(Path("labels.npz"), LabelMaps(names, labels, num_classes, np.ones(len(names), dtype=bool)))


def paste(copies: int) -> np.ndarray:
    section = {"copies": copies, "min_distance": 0.2, "min_pastes": 1, "max_pastes": 1}
    params = {"profile": "tiny", "seed": 0, "profiles": {"tiny": {"aecsad": {"lsa": section}}}}
    write_params(Path(), params)
    main(OPTIONS)
    return read_pasted_images(Path("out/p.npz"))


def test_without_copies_the_file_is_the_same_whatever_the_classes_are(here: Path) -> None:
    assert paste(0).shape == (0, SIZE, SIZE, 3)
    before = Path("out/p.npz").read_bytes()
    write_labels(("c", "a", "b"), num_classes=5, left=30)
    paste(0)
    assert Path("out/p.npz").read_bytes() == before


def test_each_training_image_is_pasted_as_often_as_asked(here: Path) -> None:
    pasted = paste(2)
    assert pasted.shape == (6, SIZE, SIZE, 3)
    red = ((pasted[..., 0] > 150) & (pasted[..., 1] < 60)).sum(axis=(1, 2))
    assert (red > 150).all()  # 100 pixels of the component and nearly as many of its copy
    assert len({version.tobytes() for version in pasted}) == 6
    np.testing.assert_array_equal(paste(2), pasted)


def test_without_component_classes_nothing_can_be_pasted(here: Path) -> None:
    write_labels(("c", "a", "b"), num_classes=1)
    assert len(paste(3)) == 0


def test_label_maps_of_other_images_are_refused(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_labels(("c", "a", "x"))
    with pytest.raises(SystemExit):
        paste(0)
    assert "do not belong to these training images" in caplog.text
