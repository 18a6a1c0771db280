"""Training images with components pasted a second time."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from stages.core.artifacts.arrays import read_arrays, write_arrays


def write_pasted_images(path: Path, images: UInt8[np.ndarray, "P S S 3"]) -> None:
    """Write compressed RGB images; equal images give equal bytes."""
    write_arrays(path, images=images)


def read_pasted_images(path: Path) -> UInt8[np.ndarray, "P S S 3"]:
    """Read the images; there may be none.

    Raises:
        UserError: the file is damaged.
    """
    return read_arrays(path, ["images"])["images"]
