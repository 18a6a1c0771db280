"""Features of training images on disk, in half precision: the teacher sees each image once, whatever is trained."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError

DESCRIPTION = "features.json"


@dataclass(frozen=True)
class TeacherFeatures:
    """The teacher's features of one category's training images.

    Attributes:
        category: its name.
        image_ids: of the N images, sorted.
        files: their names.
        views: names of the V views of each image.
        teacher: name, stages and image_size; what a decoder trained on these must get later.
        stages: memory-mapped, fine to coarse.
    """

    category: str
    image_ids: tuple[str, ...]
    files: tuple[str, ...]
    views: tuple[str, ...]
    teacher: dict[str, Any]
    stages: tuple[Float16[np.ndarray, "N V C h w"], ...]

    @property
    def channels(self) -> list[int]:
        """Number of channels of each stage."""
        return [stage.shape[2] for stage in self.stages]

    def of(self, row: int, view: int) -> list[Float[Tensor, "C h w"]]:
        """Return each stage of one view of one image, in float32."""
        return [torch.from_numpy(np.array(stage[row, view], dtype=np.float32)) for stage in self.stages]


@contextmanager
def writing_features(path: Path, description: dict[str, Any], shapes: Sequence[tuple[int, ...]]) -> Iterator[list[Any]]:
    """Yield an empty memory-mapped array for each stage; when the block ends well, they become the folder `path`.

    Args:
        path: of the folder.
        description: image_ids, files, views and teacher.
        shapes: (N, V, C, h, w) of each stage.
    """
    with replacing_folder(path) as folder:
        arrays = [
            np.lib.format.open_memmap(folder / f"stage_{number}.npy", mode="w+", dtype=np.float16, shape=shape)
            for number, shape in enumerate(shapes)
        ]
        yield arrays
        for array in arrays:
            array.flush()
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=0) + "\n", encoding="utf-8")


def read_features(path: Path, *, category: str) -> TeacherFeatures:
    """Open the features without loading them.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        count = len(description["teacher"]["stages"])
        stages = tuple(np.load(path / f"stage_{n}.npy", mmap_mode="r", allow_pickle=False) for n in range(count))
        image_ids, files, views = (tuple(description[key]) for key in ("image_ids", "files", "views"))
        teacher = dict(description["teacher"])
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no readable features ({error}): delete it and run `dvc repro`") from None
    return TeacherFeatures(category, image_ids, files, views, teacher, stages)
