"""What the tests of AeCSAD's stages share."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def two_instances() -> tuple[np.ndarray, np.ndarray]:
    """Three images: none, a red 4 x 8 rectangle (instance 2) and a white pixel (instance 1), none."""
    maps, images = np.zeros((3, 20, 20), dtype=np.uint16), np.zeros((3, 20, 20, 3), dtype=np.uint8)
    maps[1, 10:14, 2:10], images[1, 10:14, 2:10] = 2, (255, 0, 0)
    maps[1, 0, 19], images[1, 0, 19] = 1, 255
    return maps, images
