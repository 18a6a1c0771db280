"""How well explanations name the defect: does the first finding of a detected anomaly lie on its true mask?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from jaxtyping import Bool

from stages.core.io.explanations import Explanations
from stages.core.runtime.explaining import in_order_of_branches
from stages.core.runtime.explanation import Box, Explanation
from stages.evaluation.image_metrics import GROUPS, anomalies
from stages.evaluation.inputs import refuse
from stages.evaluation.names import Measured, Name, Undefined
from stages.evaluation.pixel_metrics import read_mask
from stages.evaluation.thresholds import Fitted, Uncertainty

NOTHING = Explanations({}, {})


@dataclass(frozen=True)
class Hit:
    """Whether a box overlaps the true defect, and how often the same box would at a random place of the image."""

    hit: bool
    chance: float


def checked_explanations(found: Explanations | None, test: pd.DataFrame) -> Explanations:
    """Return the method's explanations, or none where it makes none.

    Raises:
        UserError: a test image has none.
    """
    if found is None:
        return NOTHING
    refuse(set(test["image_id"]) - set(found.images), "test images without an explanation")
    return found


def in_order(findings: Sequence[Explanation], row: Mapping[Any, Any], uncertainty: Uncertainty) -> list[Explanation]:
    """Sort findings: those of the branch that decided first, then of the next; branches not in use are excluded."""
    order = uncertainty.by_excess({name: float(row[name]) for name in uncertainty.branches})
    return in_order_of_branches(findings, order)


def explanation_metrics(
    test: pd.DataFrame, explanations: Explanations, fitted: Fitted, mask_files: Path
) -> dict[Name, Measured | int]:
    """Measure by group how often the first finding of a detected anomaly lies on the mask and names a component.

    The component is the one there, or of a hot spot the one next to it.

    `chance` is how often boxes of the same sizes at random places would overlap it.

    Raises:
        UserError: a mask cannot be read.
    """
    if not explanations.images:
        return {("hit_rate", group): Undefined("the method has no explanations") for group in GROUPS}
    found: dict[Name, Measured | int] = {}
    for group in GROUPS:
        rows = anomalies(test, group)
        detected = rows[
            (rows["score"] > fitted.calibration.threshold.value) & (rows["mask_files"].map(len) > 0)
        ].to_dict("records")
        hits = [hit_of_first(row, explanations, fitted.uncertainty, mask_files) for row in detected]
        missing = Undefined("no detected anomaly of this group has a mask")
        found[("detected_with_mask", group)] = len(hits)
        found[("hit_rate", group)] = float(np.mean([one.hit for one in hits])) if hits else missing
        found[("chance", group)] = float(np.mean([one.chance for one in hits])) if hits else missing
    order = ("detected_with_mask", "hit_rate", "chance")
    return dict(sorted(found.items(), key=lambda item: order.index(item[0][0])))


def hit_of_first(row: Mapping[Any, Any], explanations: Explanations, uncertainty: Uncertainty, mask_files: Path) -> Hit:
    """Hold the first finding of one image against its mask; no finding is no hit."""
    findings = in_order(explanations.images[row["image_id"]], row, uncertainty)
    if not findings:
        return Hit(False, 0.0)
    mask = read_mask(mask_files, list(row["mask_files"]), height=row["height"], width=row["width"])
    found = overlap(findings[0].box, mask)
    return found if findings[0].component is not None else Hit(False, found.chance)


def overlap(box: Box, mask: Bool[np.ndarray, "H W"]) -> Hit:
    """Return whether a pixel of the mask lies in the box, and in which share of the places where the box fits."""
    height, width = mask.shape
    top, left = int(box[0] * height), int(box[1] * width)
    bottom = min(max(round(box[2] * height), top + 1), height)
    right = min(max(round(box[3] * width), left + 1), width)
    sums = cv2.integral(mask.astype(np.uint8))
    down, across = bottom - top, right - left
    inside = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    return Hit(bool(mask[top:bottom, left:right].any()), float((inside > 0).mean()))
