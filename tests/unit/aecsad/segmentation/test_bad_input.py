"""AeCSAD on input that can go wrong: a clear error, or a result that is documented where it is made."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.aecsad.histogram.columns import score_histograms
from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.networks import StemStudent
from stages.aecsad.model.patch_histogram import fit_histograms, histogram_distances
from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.model.teacher import TeacherHead, fit_normalisation, make_orthonormal
from stages.aecsad.segmentation.fitting import check_pseudo_labels, fit_segmentation
from stages.aecsad.segmentation.training import balanced_dice_loss, train_segmentor
from stages.aecsad.student_teacher.data import channel_statistics
from stages.aecsad.student_teacher.fitting import fit_student_teacher
from stages.aecsad.student_teacher.scoring import score_images
from stages.core.run.errors import UserError
from stages.core.run.params import EncoderParams
from tests.unit.aecsad.segmentation.test_segmentation import PARAMS, training_set

JUDGING = {"edits_per_image": 3, "min_area": 0.001, "max_area": 0.5, "min_edit_auroc": 0.6, "max_inflation": 2.0}


def labels_of(names: tuple[str, ...], *, size: int = 32, labelled: bool = True) -> LabelMaps:
    values = np.zeros((len(names), size, size), dtype=np.uint8)
    values[:, :8, :8] = 1
    return LabelMaps(names, values, 2, np.full(len(names), labelled))


def test_images_of_another_size_are_refused_before_anything_is_read() -> None:
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=128)
    with pytest.raises(UserError, match="image_size is 128, the global student needs 256"):
        fit_student_teacher(None, Path("nowhere"), None, encoder, seed=0)  # type: ignore[arg-type]


def test_pseudo_labels_must_fit_the_images() -> None:
    check_pseudo_labels(labels_of(("a", "b")), ["b", "a"], size=32)
    with pytest.raises(UserError, match="do not belong to these training images"):
        check_pseudo_labels(labels_of(("a", "b")), ["a", "c"], size=32)
    with pytest.raises(UserError, match="of 32 x 32 pixels, encoder.image_size is 64"):
        check_pseudo_labels(labels_of(("a", "b")), ["a", "b"], size=64)
    with pytest.raises(UserError, match="no image is labelled"):
        check_pseudo_labels(labels_of(("a", "b"), labelled=False), ["a", "b"], size=32)


def test_the_segmentation_checks_its_pseudo_labels_before_it_reads_an_image() -> None:
    images = pd.DataFrame({"image_id": ["a"], "file": ["a.png"], "split": ["train"]})
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=64)
    with pytest.raises(UserError, match="of 32 x 32 pixels"):
        fit_segmentation(images, Path("nowhere"), labels_of(("a",)), PARAMS, encoder, seed=0)


def test_features_of_another_number_of_channels_are_refused() -> None:
    """Not a user's mistake: torch names the sizes."""
    head = TeacherHead((3, 5), dim=4, map_size=8)
    with pytest.raises(RuntimeError, match="channels"):
        head.project([torch.zeros(1, 4, 8, 8), torch.zeros(1, 5, 4, 4)])
    with pytest.raises(ValueError, match="shorter"):
        head.project([torch.zeros(1, 3, 8, 8)])
    segmentor = Segmentor((4, 6), num_classes=2, width=8, momentum=0.1)
    with pytest.raises(RuntimeError, match="channels"):
        segmentor(torch.zeros(2, 4, 8, 8), torch.zeros(2, 5, 2, 2), size=16)


def test_dead_encoder_channels_give_finite_targets() -> None:
    """A channel without variance counts with deviation 1: it adds nothing to the standardised projection."""
    torch.manual_seed(0)
    stages = [torch.randn(6, 3, 8, 8), torch.randn(6, 5, 4, 4)]
    stages[0][:, 1] = 7.0
    head = TeacherHead((3, 5), dim=4, map_size=8)
    mean, std = zip(*(channel_statistics([stage]) for stage in stages), strict=True)
    make_orthonormal(head, mean, std)
    fit_normalisation(head, [head.project(stages)])
    targets = head(stages)
    assert targets.isfinite().all()
    stages[0][:, 1] = 7.0 + 1e-3
    torch.testing.assert_close(head(stages), targets, atol=0.01, rtol=0)


def test_a_dead_teacher_channel_is_named() -> None:
    """One channel is enough: dividing by its deviation would give infinities."""
    outputs = torch.randn(4, 3, 8, 8)
    outputs[:, 2] = 1.5
    with pytest.raises(UserError, match="teacher channel 2 is constant"):
        fit_normalisation(TeacherHead((3, 5), dim=3, map_size=8), [outputs])


def test_a_dead_stem_channel_leaves_the_student_finite() -> None:
    torch.manual_seed(0)
    stem = torch.randn(4, 3, 16, 16)
    stem[:, 0] = 5.0
    assert StemStudent(4, channels=3, dim=2, map_size=8)(stem).isfinite().all()


def test_a_class_in_one_image_only_trains_with_finite_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    data = training_set(unlabelled=True)
    data.labels[0, 50:54, 50:54] = 2
    segmentor = Segmentor((4, 4), num_classes=3, width=8, momentum=0.1)
    train_segmentor(segmentor, data, PARAMS, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    assert all(tensor.isfinite().all() for tensor in segmentor.state_dict().values())
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    balanced_dice_loss(logits, torch.zeros(2, 8, 8, dtype=torch.int64)).backward()  # only background is there
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


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
    # one of ten has area 1/64: mean 1/640, variance (ddof 1) 1/64² / 10; 16 pixels lie 15.9 / sqrt(0.1) deviations off
    assert distances[-1] == pytest.approx((16 - 0.1) / np.sqrt(0.1), rel=1e-6)


def test_fewer_normals_than_dimensions_give_finite_distances_and_a_verdict() -> None:
    """Five training images, 4 x 4 cells of three classes: unseen normals lie farther out, which lowers the weight."""
    random = np.random.default_rng(0)
    maps = np.zeros((14, 32, 32), dtype=np.uint8)
    for label_map in maps:
        top, left = random.integers(0, 8, size=2)
        label_map[top : top + 12, left : left + 12] = 1
        label_map[20 : 26 + random.integers(4), 18 : 26 + random.integers(4)] = 2
    names = [f"{number:02d}" for number in range(14)]
    images = pd.DataFrame({"image_id": names, "split": ["train"] * 5 + ["validation"] * 5 + ["test"] * 4})
    label_maps = LabelMaps(tuple(names), maps, 3, np.ones(14, dtype=bool))
    result = score_histograms(images, label_maps, grids=[4], shrinkage=0.0, seed=0, **JUDGING)
    assert np.isfinite(result.table["histogram_4x4"]).all()
    verdict = result.reliability["histogram_4x4"]
    assert verdict.inflation > 1.5
    assert verdict.weight == pytest.approx((2 * verdict.edit_auroc - 1) / verdict.inflation)
    strict = score_histograms(images, label_maps, grids=[4], shrinkage=0.0, seed=0, **{**JUDGING, "max_inflation": 1.5})
    assert strict.reliability["histogram_4x4"].weight == 0


def test_without_validation_images_the_maps_cannot_be_calibrated() -> None:
    images = pd.DataFrame({"image_id": ["a", "b"], "file": ["a.png", "b.png"], "split": ["train", "test"]})
    with pytest.raises(UserError, match="no normal validation image to calibrate"):
        score_images(None, images, Path("nowhere"), quantiles=(0.9, 0.995))  # type: ignore[arg-type]
