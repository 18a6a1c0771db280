"""Pictures, numbers and warnings about one category's components.

What a person should know before trusting the components.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8, UInt16
from PIL import Image

from stages.aecsad.cluster.sheets import class_sheet, overlay_sheet
from stages.aecsad.model.label_maps import LabelMaps
from stages.core.images.reading import read_image, resize_image
from stages.core.io.components import ComponentMaps, read_component_maps
from stages.core.run.atomic import replacing_folder
from stages.core.run.console import progress
from stages.evaluation.components import agreement

MOST_OF_THE_IMAGE = 0.9
WILD = 0.5  # standard deviation of the number of components, relative to its mean
LOG = logging.getLogger(__name__)
QUALITY = 85  # JPEG


def component_counts(values: UInt16[np.ndarray, "N H W"]) -> Int64[np.ndarray, " N"]:
    """Number of components in each image."""
    return np.asarray(values.max(axis=(1, 2)), dtype=np.int64)


def warnings_of(values: UInt16[np.ndarray, "N H W"], verdict: dict[str, Any]) -> list[str]:
    """Sentences on what is implausible; none where all looks well.

    Args:
        values: component maps of normal images, so that they should be alike.
        verdict: the cluster stage's choice, with its own `reasons`.
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
    return [*found, *(f"clustering: {reason}" for reason in verdict.get("reasons", []))]


def review(
    components: ComponentMaps,
    labels: LabelMaps,
    trials: Mapping[str, ComponentMaps],
    proposal: dict[str, Any],
    verdict: dict[str, Any],
    dataset: Path,
) -> dict[str, Any]:
    """Numbers for `metrics/`; `warnings` go to the log as well, `truth` is null where the data set brings none.

    Args:
        trials: by every proposer that was tried, of some of the images.
        proposal, verdict: the choices of the pseudo_label and cluster stages.
        dataset: the category's files, which may bring true components.

    Raises:
        ValueError: the maps are not of the same images.
    """
    if components.image_ids != labels.image_ids:
        raise ValueError("component maps and label maps are not of the same images")
    warnings = warnings_of(components.values, verdict)
    for warning in warnings:
        LOG.warning("%s", warning)
    return {
        "proposer": proposal["proposer"],
        "reason": proposal["reason"],
        "human_input": proposal["human_input"],
        "images": len(components.values),
        "labelled": int(labels.labelled.sum()),
        "classes": labels.num_classes - 1,
        **appearance(components, dataset),
        "trials": {name: {"images": len(maps.values), **appearance(maps, dataset)} for name, maps in trials.items()},
        "warnings": warnings,
    }


def appearance(maps: ComponentMaps, dataset: Path) -> dict[str, Any]:
    """How many components there are, how much of the images they cover, and how well they agree with the true ones."""
    counts = component_counts(maps.values)
    truth = agreement(dataset, maps.image_ids, maps.values)
    return {
        "components_mean": round(float(counts.mean()), 4),
        "components_std": round(float(counts.std()), 4),
        "coverage": round(float((maps.values > 0).mean()), 4),
        "truth": None if truth is None else {key: round(value, 4) for key, value in asdict(truth).items()},
    }


def read_trials(folder: Path) -> dict[str, ComponentMaps]:
    """The component maps of each proposer that was tried, by its name.

    Raises:
        UserError: a file is damaged.
    """
    return {file.stem: read_component_maps(file) for file in sorted(folder.glob("*.npz"))}


def read_pictures(folder: Path, files: Collection[str], *, size: int) -> UInt8[np.ndarray, "N size size 3"]:
    """Photographs at the size of the maps, without torch, whose import takes longer than the rest.

    Raises:
        UserError: a file cannot be read.
    """
    names = progress(files, total=len(files), label="pictures")
    return np.stack([resize_image(read_image(folder / name), size) for name in names])


def write_sheets(
    folder: Path, images: UInt8[np.ndarray, "N H W 3"], components: ComponentMaps, labels: LabelMaps
) -> None:
    """Write overlays.jpg and classes.jpg."""
    sheets = {
        "overlays.jpg": overlay_sheet(images, components.values, labels),
        "classes.jpg": class_sheet(images, components.values, labels),
    }
    with replacing_folder(folder) as temporary:
        for name, sheet in sheets.items():
            Image.fromarray(sheet).save(temporary / name, quality=QUALITY)
