"""Let a person judge the components: numbers, warnings where they cannot be right, and two sheets of pictures."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8, UInt16
from PIL import Image

from stages.aecsad.cluster.sheets import class_sheet, overlay_sheet
from stages.aecsad.model.edited import EDITED
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.io.components import CLASSES, COMPONENT_MAPS, NUMBERS, OVERLAYS, ComponentMaps, read_component_maps
from stages.core.io.decision import rounded, write_choice

MOST_OF_THE_IMAGE = 0.9
WILD = 0.5  # standard deviation of the number of components, relative to its mean
LOG = logging.getLogger(__name__)
QUALITY = 85  # JPEG


def review(
    components: ComponentMaps,
    labels: LabelMaps,
    trials: Mapping[str, ComponentMaps],
    reasons: Sequence[str],
) -> dict[str, Any]:
    """Return the numbers of a review; its `warnings` are logged as well.

    Args:
        trials: by every proposer that was tried, of some of the images.
        reasons: why the classes are not plausible.

    Raises:
        ValueError: the maps are not of the same images.
    """
    if components.image_ids != labels.image_ids:
        raise ValueError("component maps and label maps are not of the same images")
    warnings = warnings_of(components.values, reasons)
    for warning in warnings:
        LOG.warning("%s", warning)
    return {
        "images": len(components.values),
        "labelled": int(labels.labelled.sum()),
        "classes": labels.num_classes - 1,
        **appearance(components),
        "trials": {name: {"images": len(maps.values), **appearance(maps)} for name, maps in trials.items()},
        "warnings": warnings,
    }


def warnings_of(values: UInt16[np.ndarray, "N H W"], reasons: Sequence[str]) -> list[str]:
    """Say in sentences what is implausible; none where all looks well.

    Args:
        values: component maps of normal images, which should resemble each other.
        reasons: why the classes are not plausible.
    """
    counts = component_counts(values)
    largest = np.array([np.bincount(image.ravel(), minlength=2)[1:].max() / image.size for image in values])
    found = []
    if empty := int((counts == 0).sum()):
        found.append(f"no component in {empty} of {len(values)} images")
    if covered := int((largest > MOST_OF_THE_IMAGE).sum()):
        found.append(f"one component covers more than {MOST_OF_THE_IMAGE:.0%} of {covered} of {len(values)} images")
    if counts.any() and counts.std() > WILD * counts.mean():
        found.append(
            f"the number of components varies wildly: {counts.mean():.1f} ± {counts.std():.1f}, "
            f"from {counts.min()} to {counts.max()}"
        )
    return [*found, *(f"clustering: {reason}" for reason in reasons)]


def component_counts(values: UInt16[np.ndarray, "N H W"]) -> Int64[np.ndarray, " N"]:
    """Count the components in each image."""
    return np.asarray(values.max(axis=(1, 2)), dtype=np.int64)


def appearance(maps: ComponentMaps) -> dict[str, Any]:
    """Return how many components there are and how much of the images they cover."""
    counts = component_counts(maps.values)
    return rounded(
        {
            "components_mean": float(counts.mean()),
            "components_std": float(counts.std()),
            "coverage": float((maps.values > 0).mean()),
        }
    )


def write_review(
    folder: Path,
    proposed: Path,
    images: UInt8[np.ndarray, "N H W 3"],
    labels: LabelMaps,
    numbers: Mapping[str, Any],
) -> None:
    """Copy the proposed component maps, not the edited pictures, and add the numbers and two sheets of pictures."""
    shutil.copytree(proposed, folder, ignore=shutil.ignore_patterns(EDITED))
    components = read_component_maps(folder / COMPONENT_MAPS)
    write_choice(folder / NUMBERS, numbers)
    Image.fromarray(overlay_sheet(images, components.values, labels)).save(folder / OVERLAYS, quality=QUALITY)
    Image.fromarray(class_sheet(images, components.values, labels)).save(folder / CLASSES, quality=QUALITY)
