"""Whether the classes that were found can be real, judged on normal images alone."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from stages.aecsad.cluster.composition import Compositions

MIN_LABELLED = 4  # a decoder cannot learn from fewer


@dataclass(frozen=True)
class Plausibility:
    """Numbers on the classes and the verdict on them.

    Attributes:
        num_classes: component classes found, without background.
        components_mean, components_std: instances with a class, per image.
        groups: groups of like composition that HDBSCAN found; with 0, all images count as one group.
        largest_group, grouped: share of images in the largest of them, and in any.
        spread: see `composition_spread`.
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
    spread: float
    labelled: int
    coverage: float
    plausible: bool
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {key: round(v, 4) if isinstance(v, float) else v for key, v in asdict(self).items()}


def judge(
    areas: Float64[np.ndarray, "N K"],
    counts: Int64[np.ndarray, " N"],
    compositions: Compositions,
    *,
    max_spread: float,
    max_count_variation: float,
) -> Plausibility:
    """Decide whether the classes are plausible.

    Args:
        areas: share of each component class in each image.
        counts: instances with a class in each image.
        max_spread: largest `composition_spread`; a changed part is lost in areas that vary more.
        max_count_variation: largest std / mean of the counts.
    """
    sizes = np.bincount(compositions.group[compositions.group >= 0], minlength=1) / len(areas)
    mean, std, num_classes = float(counts.mean()), float(counts.std()), areas.shape[1]
    spread, labelled = composition_spread(areas, compositions.group), int(compositions.labelled.sum())
    reasons = []
    if num_classes == 0:
        reasons.append("no component class occurs often enough")
    elif std > max_count_variation * mean:
        reasons.append(f"components per image vary wildly: {mean:.1f} ± {std:.1f}")
    if spread > max_spread:
        reasons.append(f"areas differ by {spread:.0%} among images of like composition (allowed {max_spread:.0%})")
    if num_classes and labelled < MIN_LABELLED:
        reasons.append(f"only {labelled} images are typical enough to learn from (needed {MIN_LABELLED})")
    return Plausibility(
        num_classes=num_classes,
        components_mean=mean,
        components_std=std,
        groups=compositions.found,
        largest_group=float(sizes.max()) if compositions.found else 0.0,
        grouped=float(sizes.sum()) if compositions.found else 0.0,
        spread=spread,
        labelled=labelled,
        coverage=float(areas.sum(axis=1).mean()),
        plausible=not reasons,
        reasons=tuple(reasons),
    )


def composition_spread(areas: Float64[np.ndarray, "N K"], group: Int64[np.ndarray, " N"]) -> float:
    """Mean deviation of the class areas from the mean of the image's group, relative to the area of all classes.

    mean_n ||a_n - m_g(n)||₁ / mean_n ||a_n||₁    over the images that have a group; 0 where none has
    """
    deviation = [
        np.abs(areas[group == number] - areas[group == number].mean(axis=0)).sum(axis=1)
        for number in range(int(group.max(initial=-1)) + 1)
    ]
    covered = areas[group >= 0].sum(axis=1)
    return float(np.concatenate(deviation).mean() / covered.mean()) if deviation and covered.any() else 0.0
