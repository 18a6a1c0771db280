"""Component maps: which pixel belongs to which part, as a mask proposer sees it; of training images only.

A folder of them holds the chosen proposer's, of all training images, and `trials/`: a file for each proposer that was
tried, of some of the images. A review is such a folder with numbers about the components and sheets of pictures.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from stages.core.io.arrays import read_arrays, write_arrays

COMPONENT_MAPS, TRIALS = "component_maps.npz", "trials"
NUMBERS, OVERLAYS, CLASSES = "review.json", "overlays.jpg", "classes.jpg"  # of a review, for a person to judge


@dataclass(frozen=True)
class ComponentMaps:
    """Instances of components, numbered within each image.

    Attributes:
        values: 0 = background, 1..k = the k instances of that image, without gaps.
        kinds: kinds[n, i] is what the proposer already knows of the class of instance i of image n: a number above 0
            that means the same in every image (a pixel cluster, a prompt), or 0 where it knows nothing and the
            clustering must find the class. Column 0 is 0; columns past an image's k are 0.
    """

    image_ids: tuple[str, ...]
    values: UInt16[np.ndarray, "N H W"]
    kinds: UInt8[np.ndarray, "N instances+1"]


def write_component_maps(path: Path, maps: ComponentMaps) -> None:
    """Write compressed arrays; equal maps give equal bytes.

    Raises:
        ValueError: counts differ, or an instance has no column in kinds.
    """
    check_rows(path, maps.image_ids, values=maps.values, kinds=maps.kinds)
    if maps.values.size and int(maps.values.max()) >= maps.kinds.shape[1]:
        raise ValueError(f"{path}: instance {maps.values.max()} has no column in kinds {maps.kinds.shape}")
    write_arrays(path, image_ids=np.array(maps.image_ids, dtype=np.str_), values=maps.values, kinds=maps.kinds)


def read_component_maps(path: Path) -> ComponentMaps:
    """Read the maps.

    Raises:
        UserError: the file is missing an array or damaged.
    """
    arrays = read_arrays(path, ("image_ids", "values", "kinds"))
    return ComponentMaps(tuple(arrays["image_ids"].tolist()), arrays["values"], arrays["kinds"])


def read_trials(folder: Path) -> dict[str, ComponentMaps]:
    """Read the component maps of each proposer that was tried, by its name.

    Raises:
        UserError: a file is damaged.
    """
    return {file.stem: read_component_maps(file) for file in sorted((folder / TRIALS).glob("*.npz"))}


def check_rows(path: Path, image_ids: tuple[str, ...], **arrays: np.ndarray) -> None:
    """Check that every array has one row an image.

    Raises:
        ValueError: one has not.
    """
    for name, array in arrays.items():
        if len(array) != len(image_ids):
            raise ValueError(f"{path}: {len(image_ids)} image_ids for {len(array)} rows of {name}")
