"""Versions of the training images in which components occur a second time."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.pasting import paste_components
from stages.core.images.reading import read_image, resize_image
from stages.core.run.console import progress
from stages.core.run.errors import UserError


def paste_versions(
    images: pd.DataFrame,
    folder: Path,
    label_maps: LabelMaps,
    *,
    copies: int,
    min_distance: float,
    min_pastes: int,
    max_pastes: int,
    seed: int,
) -> UInt8[np.ndarray, "P S S 3"]:
    """`copies` versions of each training image, of the label maps' size; see `paste_components`.

    Returns:
        No version at all where `copies` is 0 (then no image is opened) or there are no component classes.

    Raises:
        UserError: the label maps are not those of the training images.
    """
    train = images[images["split"] == "train"].set_index("image_id")
    if sorted(train.index) != sorted(label_maps.image_ids):
        raise UserError("the label maps do not belong to these training images: run `dvc repro cluster`")
    size, random = label_maps.values.shape[-1], np.random.default_rng(seed)
    versions = []
    wanted = list(label_maps.image_ids) if copies and label_maps.num_classes > 1 else []
    for image_id, labels in zip(progress(wanted, total=len(wanted), label="pasting"), label_maps.values, strict=False):
        picture = resize_image(read_image(folder / str(train.loc[image_id, "file"])), size)
        for _ in range(copies):
            version, _ = paste_components(
                picture, labels, min_distance=min_distance, min_pastes=min_pastes, max_pastes=max_pastes, random=random
            )
            versions.append(version)
    return np.stack(versions) if versions else np.zeros((0, size, size, 3), dtype=np.uint8)
