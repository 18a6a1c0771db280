"""The aspect ratio that a split keeps for patch memories: of training images, upright, and only where it is theirs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.core.images.aspect import read_aspect
from tests.dicom_files import write_dicom
from tests.table import new_folder, violations
from tests.unit.split.case import run_split

Write = Callable[[Path, np.ndarray, int], None]
ORIENTATION, TURNED = 0x0112, 6  # the EXIF tag, and "turn by a quarter to view it"


def plain(path: Path, values: np.ndarray, number: int) -> None:
    Image.fromarray(values).save(path.with_suffix(".png"))


def square(path: Path, values: np.ndarray, number: int) -> None:
    plain(path, values[:, : len(values)], number)


def turned(path: Path, values: np.ndarray, number: int) -> None:
    """Save it as it lies in the sensor of a camera that was held upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    Image.fromarray(values).save(path.with_suffix(".jpg"), exif=exif)


def every_other_turned(path: Path, values: np.ndarray, number: int) -> None:
    (turned if number % 2 else plain)(path, values, number)


def every_other_on_its_side(path: Path, values: np.ndarray, number: int) -> None:
    plain(path, values if number % 2 else np.rot90(values), number)


def dicom(path: Path, values: np.ndarray, number: int) -> None:
    write_dicom(path.with_suffix(".dcm"), values[..., 0].astype(np.uint16))


def deep(path: Path, values: np.ndarray, number: int) -> None:
    Image.fromarray(values[..., 0].astype(np.uint16) * 200).save(path.with_suffix(".png"))


def test_whose_aspect_ratio_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good pictures are 60 x 24 pixels as stored, if nothing else is said, anomalous ones square."""

    def check(write: Write, aspect: float | None) -> None:
        monkeypatch.chdir(new_folder(tmp_path))
        for folder, count, saved in (("good", 20, write), ("defect", 6, square)):
            path = Path("dataset/images", folder)
            path.mkdir(parents=True)
            for number in range(count):
                random = np.random.default_rng([count, number])
                saved(path / f"{number}", random.integers(0, 256, (24, 60, 3), dtype=np.uint8), number)
        assert read_aspect(run_split(source="folder")) == aspect

    rows = [
        (plain, 2.5),
        (turned, 0.4),
        (every_other_turned, None),
        (every_other_on_its_side, None),
        (square, None),
        (dicom, 2.5),
        (deep, 2.5),
    ]
    assert violations(check, rows) == []
