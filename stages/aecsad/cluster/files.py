"""What the stage reads and writes: the training images of the component maps, and the folder of its results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stages.aecsad.cluster.review import write_review
from stages.aecsad.model.label_maps import LabelMaps, PastedImages, write_label_maps, write_pasted_images
from stages.core.io.components import ComponentMaps
from stages.core.io.tables import MOST_TRAINED, image_files, read_images
from stages.core.run.atomic import replacing_folder
from stages.core.run.errors import UserError
from stages.core.run.parallel import on_all_cores
from stages.core.runtime.reading import read_image, resize_image

LABEL_MAPS, PASTED, REVIEW = "label_maps.npz", "pasted.npz", "review"


def load_training_images(inputs: Path, components: ComponentMaps) -> UInt8[np.ndarray, "N S S 3"]:
    """Load the training images in the order and at the size of the component maps.

    Raises:
        UserError: the component maps are not those of the training images, or an image cannot be read.
    """
    train = read_images(inputs, most_training=MOST_TRAINED).query("split == 'train'").set_index("image_id")
    if sorted(train.index) != sorted(components.image_ids):
        raise UserError("the component maps do not belong to these training images: run `dvc repro pseudo_label`")
    files = train.loc[list(components.image_ids), "file"]
    folder, size = image_files(inputs), components.values.shape[-1]
    return np.stack(list(on_all_cores(lambda name: resize_image(read_image(folder / name), size), files)))


def write_clusters(
    folder: Path,
    proposed: Path,
    images: UInt8[np.ndarray, "N S S 3"],
    labels: LabelMaps,
    pasted: PastedImages,
    numbers: Mapping[str, Any],
) -> None:
    """Write the label maps, the pasted images and the review, all or nothing.

    Args:
        proposed: the folder of component maps, which a review holds, too.
        numbers: of the review.
    """
    with replacing_folder(folder) as temporary:
        write_label_maps(temporary / LABEL_MAPS, labels)
        write_pasted_images(temporary / PASTED, pasted)
        write_review(temporary / REVIEW, proposed, images, labels, numbers)
