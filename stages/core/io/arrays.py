"""Named NumPy arrays in one compressed file, without pickle; equal arrays give equal bytes."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.run.atomic import replacing_file
from stages.core.run.errors import UserError
from stages.core.runtime.packing import packed


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write the arrays as `.npz`, whole or not at all.

    Raises:
        ValueError: an array would need pickle.
    """
    with replacing_file(path) as temporary:
        temporary.write_bytes(packed(arrays))


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named arrays, in that order.

    Raises:
        UserError: the file is damaged, or lacks one of the arrays.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: no readable arrays ({error}): delete it and run `dvc repro`") from None
