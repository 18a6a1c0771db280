"""Pasted versions of training images: components occur a second time, seeded, and only where there are classes."""

import numpy as np

from stages.aecsad.cluster.params import PastedComponentsParams
from stages.aecsad.cluster.paste import paste_versions
from stages.aecsad.model.label_maps import LabelMaps

SIZE = 64


def paste(copies: int, *, num_classes: int = 2) -> np.ndarray:
    """Paste into three images with a red square on grey, of class 1 where there are classes."""
    images = np.full((3, SIZE, SIZE, 3), 128, dtype=np.uint8)
    images[:, 10:20, 10:20] = (200, 0, 0)
    labels = np.zeros((3, SIZE, SIZE), dtype=np.uint8)
    labels[:, 10:20, 10:20] = num_classes - 1
    params = PastedComponentsParams(copies=copies, min_distance=0.2, min_pastes=1, max_pastes=1)
    return paste_versions(
        images, LabelMaps(("c", "a", "b"), labels, num_classes, np.ones(3, dtype=bool)), params, seed=0
    )


def test_each_image_is_pasted_as_often_as_asked() -> None:
    pasted = paste(2)
    assert pasted.shape == (6, SIZE, SIZE, 3)
    red = ((pasted[..., 0] > 150) & (pasted[..., 1] < 60)).sum(axis=(1, 2))
    assert (red > 150).all()  # 100 pixels of the component and nearly as many of its copy
    assert len({version.tobytes() for version in pasted}) == 6
    np.testing.assert_array_equal(paste(2), pasted)


def test_nothing_is_pasted_without_copies_or_without_classes() -> None:
    assert paste(0).shape == paste(3, num_classes=1).shape == (0, SIZE, SIZE, 3)
