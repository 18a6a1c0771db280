"""Label maps of a product whose components are always in the same places, and vary a little in place and size."""

import numpy as np

SIZE = 64
PLACES = [(12, 12), (12, 48), (48, 12), (48, 48)]  # of class 1; class 2 is a bar of varying height in the middle


def draw(seed: int) -> np.ndarray:
    """One normal label map."""
    generator = np.random.default_rng(seed)
    labels = np.zeros((SIZE, SIZE), dtype=np.uint8)
    for y, x in PLACES:
        top, left = y - 4 + generator.integers(-2, 3), x - 4 + generator.integers(-2, 3)
        labels[top : top + 8, left : left + 8] = 1
    labels[24 : 36 + generator.integers(0, 3), 28:36] = 2
    return labels
