"""Pasted versions of training images: components occur a second time, seeded, and only where there are classes."""

from pathlib import Path

import numpy as np

from stages.aecsad.cluster.params import PastedComponentsParams
from stages.aecsad.cluster.paste import paste_versions
from stages.aecsad.model.label_maps import LabelMaps, PastedImages, read_pasted_images, write_pasted_images

SIZE = 64


def paste(copies: int, *, num_classes: int = 2) -> PastedImages:
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
    images = pasted.images
    assert images.shape == (6, SIZE, SIZE, 3)
    red = ((images[..., 0] > 150) & (images[..., 1] < 60)).sum(axis=(1, 2))
    assert (red > 150).all()  # 100 pixels of the component and nearly as many of its copy
    assert len({version.tobytes() for version in images}) == 6
    np.testing.assert_array_equal(paste(2).images, images)


def test_each_version_names_its_source_which_a_file_keeps(tmp_path: Path) -> None:
    pasted = paste(2)
    assert pasted.sources == ("c", "c", "a", "a", "b", "b")
    assert pasted.of({"a", "c"}).sources == ("c", "c", "a", "a")
    np.testing.assert_array_equal(pasted.of({"b"}).images, pasted.images[4:])
    for one in (pasted, paste(0)):
        write_pasted_images(tmp_path / "pasted.npz", one)
        again = read_pasted_images(tmp_path / "pasted.npz")
        assert again.sources == one.sources
        np.testing.assert_array_equal(again.images, one.images)


def test_nothing_is_pasted_without_copies_or_without_classes() -> None:
    assert paste(0).images.shape == paste(3, num_classes=1).images.shape == (0, SIZE, SIZE, 3)
