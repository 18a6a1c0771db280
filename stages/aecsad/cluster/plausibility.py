"""Whether the classes that were found can be real, judged on normal images alone."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from stages.aecsad.cluster.composition import Compositions

MIN_LABELLED = 4  # a decoder cannot learn from fewer


@dataclass(frozen=True)
class Plausibility:
    """Numbers on the classes and the verdict on them.

    Attributes:
        num_classes: component classes found, without background.
        components_mean, components_std: instances with a class, per image.
        largest_group, grouped: share of images in the largest group of like compositions, and in any group.
        labelled: images whose map may train the decoder.
        coverage: mean share of an image that belongs to a class.
        reasons: why not plausible; empty if plausible.
    """

    num_classes: int
    components_mean: float
    components_std: float
    groups: int
    largest_group: float
    grouped: float
    labelled: int
    coverage: float
    plausible: bool
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


def judge(
    labels: UInt8[np.ndarray, "N H W"],
    counts: Int64[np.ndarray, "N"],
    compositions: Compositions,
    *,
    min_grouped: float,
    max_count_variation: float,
) -> Plausibility:
    """Decide whether the classes are plausible.

    Args:
        counts: instances with a class in each image.
        min_grouped: smallest share of images that must have a composition like others.
        max_count_variation: largest std / mean of the counts.
    """
    sizes = np.bincount(compositions.group[compositions.group >= 0], minlength=1) / len(labels)
    mean, std = float(counts.mean()), float(counts.std())
    num_classes, grouped, labelled = int(labels.max(initial=0)), float(sizes.sum()), int(compositions.labelled.sum())
    reasons = []
    if num_classes == 0:
        reasons.append("no component class occurs often enough")
    elif std > max_count_variation * mean:
        reasons.append(f"components per image vary wildly: {mean:.1f} ± {std:.1f}")
    if num_classes and grouped < min_grouped:
        reasons.append(f"only {grouped:.0%} of the images have a composition like others (needed: {min_grouped:.0%})")
    if num_classes and labelled < MIN_LABELLED:
        reasons.append(f"only {labelled} images are typical enough to learn from (needed: {MIN_LABELLED})")
    return Plausibility(
        num_classes=num_classes,
        components_mean=mean,
        components_std=std,
        groups=int(compositions.group.max(initial=-1)) + 1,
        largest_group=float(sizes.max()),
        grouped=grouped,
        labelled=labelled,
        coverage=float((labels > 0).mean()),
        plausible=not reasons,
        reasons=tuple(reasons),
    )
