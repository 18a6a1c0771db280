"""Features of training images on disk, in half precision: the teacher sees each image once, whatever is trained."""

import hashlib
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
        single: rows of the images that have many views, for one-shot trainings.
        single_stages: memory-mapped features of these, fine to coarse.
    """

    category: str
    image_ids: tuple[str, ...]
    files: tuple[str, ...]
    views: tuple[str, ...]
    teacher: dict[str, Any]
    stages: tuple[Float16[np.ndarray, "N V C h w"], ...]
    single: tuple[int, ...] = ()
    single_stages: tuple[Float16[np.ndarray, "n v C h w"], ...] = ()

    @property
    def channels(self) -> list[int]:
        """Number of channels of each stage."""
        return [stage.shape[2] for stage in self.stages]

    def of(self, row: int, view: int) -> list[Float[Tensor, "C h w"]]:
        """Return each stage of one view of one image, in float32."""
        return [torch.from_numpy(np.array(stage[row, view], dtype=np.float32)) for stage in self.stages]

    @property
    def one_shot_views(self) -> int:
        """Number of views that a one-shot training chooses from."""
        return int(self.single_stages[0].shape[1]) if self.single else len(self.views)

    def one_shot(self, row: int, view: int) -> list[Float[Tensor, "C h w"]]:
        """Return each stage of one of these views of one image, in float32.

        Raises:
            UserError: other images than this one have such views.
        """
        if not self.single:
            return self.of(row, view)
        if row not in self.single:
            raise UserError(
                f"{self.category}: {len(self.single)} images have views for one-shot trainings, {self.image_ids[row]} "
                "has none: raise sir.teacher.one_shot.images to sir.training.one_shot.repetitions in the profile"
            )
        own = self.single.index(row)
        return [torch.from_numpy(np.array(stage[own, view], dtype=np.float32)) for stage in self.single_stages]


def drawing_order(category: str, count: int, *, seed: int) -> list[int]:
    """Return the rows of a category's images in the order in which one-shot repetitions choose them."""
    digest = hashlib.sha256(f"{seed} {category}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    return order


@contextmanager
def writing_features(
    path: Path,
    description: dict[str, Any],
    shapes: Sequence[tuple[int, ...]],
    shapes_of_single: Sequence[tuple[int, ...]] = (),
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield empty memory-mapped arrays for each stage; when the block ends well, they become the folder `path`.

    Args:
        path: of the folder.
        description: image_ids, files, views, teacher and single.
        shapes: (N, V, C, h, w) of each stage.
        shapes_of_single: (n, v, C, h, w) of each stage, of the images that one-shot trainings learn from.
    """
    with replacing_folder(path) as folder:

        def create(name: str, wanted: Sequence[tuple[int, ...]]) -> list[Any]:
            names = [folder / f"{name}_{number}.npy" for number in range(len(wanted))]
            return [
                np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
                for file, shape in zip(names, wanted, strict=True)
            ]

        arrays = create("stage", shapes), create("single", shapes_of_single if description["single"] else ())
        yield arrays
        for array in [*arrays[0], *arrays[1]]:
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
        single = tuple(description["single"])
        stages, single_stages = (
            tuple(np.load(path / f"{name}_{n}.npy", mmap_mode="r", allow_pickle=False) for n in range(kept))
            for name, kept in (("stage", count), ("single", count if single else 0))
        )
        image_ids, files, views = (tuple(description[key]) for key in ("image_ids", "files", "views"))
        teacher = dict(description["teacher"])
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no readable features ({error}): delete it and run `dvc repro`") from None
    return TeacherFeatures(category, image_ids, files, views, teacher, stages, single, single_stages)
