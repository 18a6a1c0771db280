"""Patch histograms and Mahalanobis distances, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from stages.aecsad.model.patch_histogram import fit_histograms, read_histogram_models, write_histogram_models
from stages.core.run.errors import UserError
from stages.core.runtime.histograms import histogram_distances, patch_histograms

MAP = np.array([[1, 1, 0, 2], [1, 0, 0, 2], [0, 0, 2, 2], [1, 0, 2, 2]], dtype=np.uint8)


def strips(*lengths: int) -> np.ndarray:
    """One 10 x 10 label map a length: that many pixels of class 1 in the first row."""
    maps = np.zeros((len(lengths), 10, 10), dtype=np.uint8)
    for label_map, length in zip(maps, lengths, strict=True):
        label_map[0, :length] = 1
    return maps


def test_one_cell() -> None:
    assert patch_histograms(MAP[None], grid=1, num_classes=4).tolist() == [[0, 4 / 16, 6 / 16, 0]]


def test_four_cells_go_down_the_columns() -> None:
    top_left, bottom_left, top_right, bottom_right = [0, 0.75, 0], [0, 0.25, 0], [0, 0, 0.5], [0, 0, 1]
    expected = [[*top_left, *bottom_left, *top_right, *bottom_right]]
    assert patch_histograms(MAP[None], grid=2, num_classes=3).tolist() == expected


def test_more_images_than_one_chunk() -> None:
    maps = np.zeros((150, 4, 4), dtype=np.uint8)
    maps[149] = MAP
    histograms = patch_histograms(maps, grid=1, num_classes=3)
    assert histograms.shape == (150, 3)
    assert histograms[149].tolist() == [0, 0.25, 0.375]
    assert not histograms[:149].any()


def test_no_images() -> None:
    assert patch_histograms(np.zeros((0, 4, 4), dtype=np.uint8), grid=2, num_classes=3).shape == (0, 12)


def test_one_class_gives_distance_in_standard_deviations() -> None:
    model = fit_histograms(strips(2, 4, 6), grid=1, num_classes=2, shrinkage=0)  # mean .04, std (ddof 1) .02
    np.testing.assert_allclose(histogram_distances(model, strips(4, 6, 9)), [0, 1, 2.5], atol=1e-12)


def test_a_class_never_seen_counts_only_with_shrinkage() -> None:
    odd = strips(4)
    odd[0, 5] = 2
    plain, shrunk = (fit_histograms(strips(2, 4, 6), grid=1, num_classes=3, shrinkage=s) for s in (0.0, 0.3))
    np.testing.assert_allclose(histogram_distances(plain, odd), [0], atol=1e-12)
    # C = diag(0, 4e-4, 0), tr(C)/D = 4e-4/3, so the unseen class has variance .3 * 4e-4/3 = 4e-5: .1 / sqrt(4e-5)
    np.testing.assert_allclose(histogram_distances(shrunk, odd), [0.1 / np.sqrt(4e-5)])


@pytest.mark.parametrize("shrinkage", [0.0, 0.5])
def test_equal_training_images_give_distance_zero(shrinkage: float) -> None:
    model = fit_histograms(strips(3, 3, 3), grid=2, num_classes=2, shrinkage=shrinkage)
    assert histogram_distances(model, strips(3, 9)).tolist() == [0, 0]


def test_no_component_class_gives_distance_zero() -> None:
    maps = np.zeros((3, 4, 4), dtype=np.uint8)
    model = fit_histograms(maps, grid=1, num_classes=1, shrinkage=0)
    assert histogram_distances(model, maps).tolist() == [0, 0, 0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="label 2 is not below num_classes 2"):
        patch_histograms(MAP[None], grid=1, num_classes=2)
    with pytest.raises(ValueError, match="grid of 5 x 5 cells does not fit label maps of 4 x 4"):
        patch_histograms(MAP[None], grid=5, num_classes=3)
    with pytest.raises(ValueError, match="needs two images or more, there are 1"):
        fit_histograms(MAP[None], grid=1, num_classes=3, shrinkage=0)
    with pytest.raises(ValueError, match=r"shrinkage 1\.5 is outside"):
        fit_histograms(strips(1, 2), grid=1, num_classes=2, shrinkage=1.5)


def test_models_come_back_as_written(tmp_path: Path) -> None:
    models = [fit_histograms(strips(2, 4, 7), grid=grid, num_classes=2, shrinkage=0.1) for grid in (1, 2)]
    write_histogram_models(tmp_path / "model.npz", models, made_from={"segmentation": "5e6"})
    back = read_histogram_models(tmp_path / "model.npz")
    assert [(model.grid, model.num_classes) for model in back] == [(1, 2), (2, 2)]
    for one, other in zip(models, back, strict=True):
        np.testing.assert_array_equal(histogram_distances(one, strips(5)), histogram_distances(other, strips(5)))


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"model\.npz: no readable arrays"):
        read_histogram_models(tmp_path / "model.npz")


def test_a_class_seen_in_one_normal_image_counts_from_that_image_on() -> None:
    """Its variance is small but not 0, so its distance is finite and large."""
    maps = np.zeros((10, 8, 8), dtype=np.uint8)
    maps[:, :2] = 1
    maps[np.arange(10), 2, np.arange(10) % 8] = 1  # same area, so class 1 never varies
    maps[0, 7, 7] = 2
    model = fit_histograms(maps, grid=1, num_classes=3, shrinkage=0.0)
    often = maps[:1].copy()
    often[0, 6:] = 2
    distances = histogram_distances(model, np.concatenate([maps, often]))
    assert np.isfinite(distances).all()
    # one of ten has area 1/64: mean 1/640, variance (ddof 1) 1/64² / 10; 16 pixels are 15.9 / sqrt(0.1) deviations off
    assert distances[-1] == pytest.approx((16 - 0.1) / np.sqrt(0.1), rel=1e-6)
