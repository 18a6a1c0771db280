"""Versions of the training images in which components occur a second time, for the global student."""

import numpy as np
from jaxtyping import UInt8

from stages.aecsad.cluster.params import PastedComponentsParams
from stages.aecsad.model.label_maps import LabelMaps, PastedImages
from stages.aecsad.model.pasting import paste_components
from stages.core.run.console import progress


def paste_versions(
    images: UInt8[np.ndarray, "N S S 3"], label_maps: LabelMaps, params: PastedComponentsParams, *, seed: int
) -> PastedImages:
    """Make `params.copies` versions of each training image, see `paste_components`.

    Args:
        images: the training images in the order of `label_maps`.

    Returns:
        No version where `params.copies` is 0 or there are no component classes; then nothing but the images' size
        decides the result.
    """
    size, random = label_maps.values.shape[-1], np.random.default_rng(seed)
    versions, sources = [], []
    wanted = images if params.copies and label_maps.usable else images[:0]
    shown = progress(wanted, total=len(wanted), label="pasting")
    for image, image_id, labels in zip(shown, label_maps.image_ids, label_maps.values, strict=False):
        sources += [image_id] * params.copies
        for _ in range(params.copies):
            version, _ = paste_components(
                image, labels, min_distance=params.min_distance, min_pastes=params.min_pastes,
                max_pastes=params.max_pastes, random=random,
            )  # fmt: skip
            versions.append(version)
    stacked = np.stack(versions) if versions else np.zeros((0, size, size, 3), dtype=np.uint8)
    return PastedImages(stacked, tuple(sources))
