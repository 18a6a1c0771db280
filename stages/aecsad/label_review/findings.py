"""What a person should know before trusting the components."""

from typing import Any

import numpy as np
from jaxtyping import Int64, UInt16

MOST_OF_THE_IMAGE = 0.9
WILD = 0.5  # standard deviation of the number of components, relative to its mean


def component_counts(values: UInt16[np.ndarray, "N H W"]) -> Int64[np.ndarray, " N"]:
    """Number of components in each image."""
    return np.asarray(values.max(axis=(1, 2)), dtype=np.int64)


def warnings_of(values: UInt16[np.ndarray, "N H W"], verdict: dict[str, Any]) -> list[str]:
    """Sentences on what is implausible; none where all looks well.

    Args:
        values: component maps of normal images, so that they should be alike.
        verdict: the cluster room's choice, with its own `reasons`.
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
