"""Label maps: the class of component of each pixel; and training images with components pasted a second time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.io.lineage import Lineage, as_array
from stages.core.run.errors import UserError

LABEL_MAPS = "label_maps.npz"  # in the folder of the stage segmentation
TURNS = "turns"  # there, too, where validation rotates: <fold>.npz, by networks that have not seen the fold


@dataclass(frozen=True)
class LabelMaps:
    """Component classes of every pixel.

    Attributes:
        values: 0 = background, 1..K = the component classes.
        num_classes: K + 1; 1 where no usable classes were found.
        labelled: the images whose map can be relied on (as a training target, or because a trained network made it).
    """

    image_ids: tuple[str, ...]
    values: UInt8[np.ndarray, "N H W"]
    num_classes: int
    labelled: Bool[np.ndarray, " N"]

    @property
    def usable(self) -> bool:
        """Whether there are component classes; without them, everything that builds on them is excluded."""
        return self.num_classes > 1

    def without_classes(self) -> "LabelMaps":
        """Return maps of the same images that are all background, none of them labelled."""
        return LabelMaps(self.image_ids, np.zeros_like(self.values), 1, np.zeros_like(self.labelled))


def write_label_maps(path: Path, maps: LabelMaps, *, made_from: Lineage | None = None) -> None:
    """Write compressed arrays; equal maps give equal bytes.

    Args:
        path: of the file.
        maps: to write.
        made_from: the network that made them (stages.core.io.lineage); None for maps that no network made.

    Raises:
        ValueError: counts differ, or a value is not below num_classes.
    """
    if not len(maps.image_ids) == len(maps.values) == len(maps.labelled):
        raise ValueError(
            f"{path}: {len(maps.image_ids)} image_ids, {len(maps.values)} maps, {len(maps.labelled)} labelled flags"
        )
    if maps.num_classes < 1 or (maps.values.size and int(maps.values.max()) >= maps.num_classes):
        raise ValueError(f"{path}: class {maps.values.max(initial=0)} does not fit num_classes {maps.num_classes}")
    write_arrays(
        path,
        image_ids=np.array(maps.image_ids, dtype=np.str_),
        values=maps.values,
        num_classes=np.array(maps.num_classes, dtype=np.int64),
        labelled=maps.labelled,
        **as_array(made_from or {}),
    )


def read_label_maps(path: Path) -> LabelMaps:
    """Read the maps.

    Raises:
        UserError: the file is missing an array or damaged.
    """
    arrays = read_arrays(path, ("image_ids", "values", "num_classes", "labelled"))
    return LabelMaps(
        tuple(arrays["image_ids"].tolist()), arrays["values"], int(arrays["num_classes"]), arrays["labelled"]
    )


def write_turns(folder: Path, turns: Mapping[int, LabelMaps]) -> None:
    """Write the label maps of each turn of rotating validation; nothing where there is none."""
    for fold, maps in turns.items():
        (folder / TURNS).mkdir(exist_ok=True)
        write_label_maps(folder / TURNS / f"{fold}.npz", maps)


def read_turns(folder: Path, folds: Iterable[int]) -> dict[int, LabelMaps]:
    """Read the label maps of each turn.

    Raises:
        UserError: those of a fold are missing or damaged.
    """
    return {fold: read_label_maps(folder / TURNS / f"{fold}.npz") for fold in folds}


@dataclass(frozen=True)
class PastedImages:
    """Training images with components pasted a second time; there may be none.

    Attributes:
        sources: image_id of the training image that each one was made from.
    """

    images: UInt8[np.ndarray, "P S S 3"]
    sources: tuple[str, ...]

    def of(self, image_ids: Iterable[str]) -> "PastedImages":
        """Return those that were made from these training images."""
        wanted = set(image_ids)
        kept = [row for row, source in enumerate(self.sources) if source in wanted]
        return PastedImages(self.images[kept], tuple(self.sources[row] for row in kept))


def write_pasted_images(path: Path, pasted: PastedImages) -> None:
    """Write compressed RGB images and, where there are any, their sources; equal images give equal bytes.

    Raises:
        ValueError: counts differ.
    """
    if len(pasted.images) != len(pasted.sources):
        raise ValueError(f"{path}: {len(pasted.images)} pasted images, {len(pasted.sources)} sources")
    sources = {"sources": np.array(pasted.sources, dtype=np.str_)} if pasted.sources else {}
    write_arrays(path, images=pasted.images, **sources)


def read_pasted_images(path: Path) -> PastedImages:
    """Read the images.

    Raises:
        UserError: the file is damaged.
    """
    images = read_arrays(path, ["images"])["images"]
    sources = read_arrays(path, ["sources"])["sources"].tolist() if len(images) else []
    if len(sources) != len(images):
        raise UserError(f"{path}: {len(images)} pasted images, {len(sources)} sources: delete it and run `dvc repro`")
    return PastedImages(images, tuple(sources))
