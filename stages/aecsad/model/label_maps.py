"""Label maps: the class of component of each pixel; and training images with components pasted a second time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from stages.core.io.arrays import read_arrays, write_arrays
from stages.core.io.lineage import Lineage, as_array

LABEL_MAPS = "label_maps.npz"  # in the folder of the stage segmentation


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


def write_pasted_images(path: Path, images: UInt8[np.ndarray, "P S S 3"]) -> None:
    """Write compressed RGB images; equal images give equal bytes."""
    write_arrays(path, images=images)


def read_pasted_images(path: Path) -> UInt8[np.ndarray, "P S S 3"]:
    """Read the images; there may be none.

    Raises:
        UserError: the file is damaged.
    """
    return read_arrays(path, ["images"])["images"]
