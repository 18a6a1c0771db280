"""How well proposed components agree with true ones, where a data set brings those. For people: nothing is fitted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, UInt8, UInt16
from scipy.optimize import linear_sum_assignment

from stages.core.images.regions import connected_regions
from stages.core.io.components import COMPONENT_MAPS, TRIALS, read_component_maps
from stages.core.run.console import progress
from stages.core.runtime.reading import open_image

MIN_PIXELS = 20  # smaller true regions are slivers behind other parts
FOUND = 0.5  # IoU from which a component counts as found
DIGITS = 4  # behind the point


@dataclass(frozen=True)
class Agreement:
    """Of all images with true components.

    Attributes:
        images: how many there are.
        matched_iou: mean IoU of the pairs of true and proposed components that overlap, matched one to one for the
            largest sum of IoU in each image.
        found: share of the true components that are matched with an IoU of at least FOUND.
        count_error: mean absolute difference between the numbers of proposed and true components of an image.
    """

    images: int
    matched_iou: float
    found: float
    count_error: float


def component_agreement(proposed: Path | None, truth: Path) -> dict[str, Any]:
    """Compare the components that were proposed, and those of every proposer that was tried, with the true ones.

    Args:
        proposed: folder with COMPONENT_MAPS and, of every proposer that was tried, TRIALS/<name>.npz; None where no
            method knows components.
        truth: folder of true components.

    Returns:
        {"proposed": an Agreement, "trials": {name: an Agreement}}; null where there is no truth for these images.

    Raises:
        UserError: a file is damaged.
    """
    if proposed is None:
        return {"proposed": None, "trials": {}}
    trials = sorted((proposed / TRIALS).glob("*.npz"))
    return {
        "proposed": rounded_agreement(proposed / COMPONENT_MAPS, truth),
        "trials": {file.stem: rounded_agreement(file, truth) for file in trials},
    }


def rounded_agreement(file: Path, truth: Path) -> dict[str, float] | None:
    """Return the agreement of a file of component maps as JSON-able numbers of DIGITS digits."""
    maps = read_component_maps(file)
    found = agreement(truth, maps.image_ids, maps.values)
    return None if found is None else {key: round(value, DIGITS) for key, value in asdict(found).items()}


def agreement(truth: Path, image_ids: Sequence[str], proposed: UInt16[np.ndarray, "N H W"]) -> Agreement | None:
    """Compare instance maps with true components; None where no image has any.

    Args:
        truth: folder of `<image_id>.png` with the class of every pixel.

    Raises:
        UserError: a file of true components is damaged.
    """
    files = {row: truth / f"{image_id}.png" for row, image_id in enumerate(image_ids)}
    present = {row: file for row, file in files.items() if file.is_file()}
    if not present:
        return None
    matched: list[float] = []
    components, errors = 0, []
    for row, file in progress(present.items(), total=len(present), label="true components"):
        instances = true_instances(read_classes(file), size=proposed.shape[-1])
        overlaps = pairwise_iou(instances, proposed[row])
        pairs = overlaps[linear_sum_assignment(overlaps, maximize=True)]
        matched += pairs[pairs > 0].tolist()
        components += overlaps.shape[0]
        errors.append(abs(overlaps.shape[1] - overlaps.shape[0]))
    return Agreement(
        images=len(present),
        matched_iou=float(np.mean(matched)) if matched else 0.0,
        found=sum(iou >= FOUND for iou in matched) / max(components, 1),
        count_error=float(np.mean(errors)),
    )


def read_classes(file: Path) -> UInt8[np.ndarray, "H W"]:
    """Read the classes of a map's pixels.

    Raises:
        UserError: the file is damaged.
    """
    with open_image(file) as image:
        return np.array(image.convert("L") if image.mode != "P" else image, dtype=np.uint8)


def true_instances(classes: UInt8[np.ndarray, "H W"], *, size: int) -> UInt16[np.ndarray, "size size"]:
    """Number the 8-connected regions of each class above 0 from 1, at the size of the proposed maps."""
    scaled = cv2.resize(classes, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    found = np.zeros(scaled.shape, dtype=np.uint16)
    for number, region in enumerate(connected_regions(scaled, min_area=MIN_PIXELS), 1):
        region.paint(found, number)
    return found


def pairwise_iou(rows: UInt16[np.ndarray, "H W"], columns: UInt16[np.ndarray, "H W"]) -> Float64[np.ndarray, "R C"]:
    """Compute the IoU of each instance of one map with each of another, by one count of value pairs."""
    height, width = int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1
    codes = rows.astype(np.int64).ravel() * width + columns.ravel()
    shared = np.bincount(codes, minlength=height * width).reshape(height, width)
    union = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:] - shared[1:, 1:]
    return np.asarray(shared[1:, 1:] / np.maximum(union, 1))
