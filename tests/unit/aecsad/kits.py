"""Areas of kinds of parts, as the stage segmentation leaves them."""

import numpy as np

from stages.aecsad.model.part_numbers import KindClassifier, PartAreas

CLASSIFIER = KindClassifier(np.ones((2, 3), np.float32), np.zeros(3, np.float32))


def no_parts(image_ids: tuple[str, ...], edited: int) -> PartAreas:
    """Where no kinds were found."""
    nothing = np.zeros(0, dtype=np.int64)
    return PartAreas(
        image_ids, np.zeros((len(image_ids), 0)), np.zeros((edited, 0)), CLASSIFIER, np.zeros((0, 0)), nothing, nothing
    )


def two_kinds(image_ids: tuple[str, ...], discs: np.ndarray, edited_discs: np.ndarray) -> PartAreas:
    """Kits of so many discs and one bar each, of classes 1 and 2; areas are known to a tenth of a part."""
    random = np.random.default_rng(0)

    def areas(numbers: np.ndarray) -> np.ndarray:
        both = np.column_stack([numbers, np.ones(len(numbers))])
        return 0.02 * (both + random.normal(0, 0.1, both.shape))

    shifts, kinds = 0.02 * np.eye(2), np.array([0, 1])
    return PartAreas(image_ids, areas(discs), areas(edited_discs), CLASSIFIER, shifts, kinds, np.array([1, 2]))
