"""The component segmentation: pasting, sampling, training on a case that can be checked by eye."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from stages.aecsad.model.label_maps import LabelMaps
from stages.aecsad.model.pasting import find_components, paste_components
from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.segmentation.data import StageFeatures, TrainingSet
from stages.aecsad.segmentation.fitting import Fitted, fit_segmentation, segment_images
from stages.aecsad.segmentation.params import AugmentationParams, LossWeights, SegmentationParams
from stages.aecsad.segmentation.training import draw_rows, loss_terms, shrink_labels, train_segmentor
from stages.core.run.params import EncoderParams

PASTE = {"min_distance": 0.2, "min_pastes": 1, "max_pastes": 1}
PARAMS = SegmentationParams(
    width=8, iterations=40, supervised_share=0.5, batch_size=2, optimizer="adamw", schedule="one_cycle",
    learning_rate=0.02, weight_decay=0.0, loss_size=32,
    csad_exact=False, augmentation=AugmentationParams(copies=0, **PASTE),
    loss_weights=LossWeights(cross_entropy=0.5, focal=10.0, dice=1.0, histogram=10.0, entropy=1.0),
)  # fmt: skip


def square_scene() -> tuple[np.ndarray, np.ndarray]:
    """A red 10x10 square of class 1 on grey ground, 64 px."""
    image = np.full((64, 64, 3), 128, dtype=np.uint8)
    labels = np.zeros((64, 64), dtype=np.uint8)
    image[10:20, 10:20] = (200, 0, 0)
    labels[10:20, 10:20] = 1
    return image, labels


def test_components_are_connected_regions_above_a_thousandth_of_the_image() -> None:
    labels = square_scene()[1]
    labels[40, 40] = 2  # one pixel of 4096 is less than 0.1 %
    labels[30:34, 50:54] = 1
    found = find_components(labels)
    assert [(c.label, int(c.mask.sum()), c.centre) for c in found] == [(1, 100, (14.5, 14.5)), (1, 16, (51.5, 31.5))]


@pytest.mark.parametrize("seed", range(5))
def test_a_paste_adds_one_component_of_the_same_class_and_colour(seed: int) -> None:
    image, labels = square_scene()
    pasted_image, pasted = paste_components(image, labels, random=np.random.default_rng(seed), **PASTE)
    added = (pasted == 1) & (labels == 0)
    assert 80 <= added.sum() <= 125  # 100 pixels, rotated by nearest neighbour
    assert (pasted_image[added][:, 0] > 150).mean() > 0.85  # its rim is interpolated
    np.testing.assert_array_equal(pasted_image[~added], image[~added])
    centre = np.argwhere(added).mean(axis=0)
    assert np.hypot(*(centre - 14.5)) / 64 >= 0.2 - 0.02
    assert set(np.unique(pasted)) == {0, 1}
    assert image[30, 30, 0] == 128  # the inputs are not touched


def test_exact_pastes_have_a_rim_of_other_classes() -> None:
    image, labels = square_scene()
    labels[labels == 1] = 7
    pasted, exact = (
        paste_components(image, labels, random=np.random.default_rng(1), csad_exact=value, **PASTE)[1]
        for value in (False, True)
    )
    assert set(np.unique(pasted)) == {0, 7}
    assert set(np.unique(exact)) - {0, 7}  # interpolated between 0 and 7
    np.testing.assert_array_equal(exact[labels == 7], 7)  # the original stays


def test_without_components_or_places_nothing_changes() -> None:
    image, labels = square_scene()
    nothing = np.zeros_like(labels)
    np.testing.assert_array_equal(
        paste_components(image, nothing, random=np.random.default_rng(0), **PASTE)[1], nothing
    )
    far = {**PASTE, "min_distance": 5.0}
    np.testing.assert_array_equal(paste_components(image, labels, random=np.random.default_rng(0), **far)[1], labels)


def test_rows_hold_at_least_two_images_and_come_from_the_seed() -> None:
    assert len(next(draw_rows(1, 4, torch.Generator()))) == 2
    first, again = (draw_rows(7, 3, torch.Generator().manual_seed(5)) for _ in range(2))
    for _ in range(4):
        assert torch.equal(next(first), next(again))


def test_shrunk_labels_hold_only_classes_that_were_there() -> None:
    labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
    labels[:, 32:] = 3
    small = shrink_labels(labels, 16)
    assert small.shape == (1, 16, 16)
    assert set(small.unique().tolist()) == {0, 3}
    assert (small[0, 8:] == 3).all()


def test_unlabelled_terms_join_only_with_unlabelled_images() -> None:
    logits, labels = torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64)
    assert set(loss_terms(logits, labels, None, labels, csad_exact=False)) == {"cross_entropy", "focal", "dice"}
    terms = loss_terms(logits, labels, logits, labels, csad_exact=False)
    assert float(terms["entropy"]) == pytest.approx(2 * np.log(3) / 3, rel=1e-3)
    assert float(terms["histogram"]) == pytest.approx(2 / 3)  # two classes predicted at a third each, none there


def training_set(unlabelled: bool) -> TrainingSet:
    """Features that carry the class: the upper half is class 1, the lower class 0."""
    low = torch.zeros(6, 4, 16, 16, dtype=torch.float16)
    low[:, 0, :8] = 1.0
    features = StageFeatures(low, torch.zeros(6, 4, 4, 4, dtype=torch.float16))
    labels = torch.zeros(6, 64, 64, dtype=torch.uint8)
    labels[:, :32] = 1
    return TrainingSet(features, labels, features if unlabelled else None)


@pytest.mark.parametrize("unlabelled", [True, False])
def test_training_learns_a_visible_class(unlabelled: bool, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    segmentor, data = Segmentor((4, 4), num_classes=2, width=8, momentum=0.1), training_set(unlabelled)
    with caplog.at_level(logging.WARNING):
        train_segmentor(
            segmentor, data, PARAMS, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0)
        )  # fmt: skip
    assert ("every training image is labelled" in caplog.text) is not unlabelled
    with torch.no_grad():
        predicted = segmentor(*data.labelled.batch(torch.tensor([0]), torch.device("cpu")), size=64).argmax(dim=1)
    assert (predicted == data.labels[:1]).float().mean() > 0.95


def test_a_batch_may_hold_more_unlabelled_images_than_there_are_labelled() -> None:
    data = training_set(unlabelled=True)
    rows = torch.arange(14) % 6
    rest = StageFeatures(data.labelled.low[rows], data.labelled.high[rows])
    curve = train_segmentor(
        Segmentor((4, 4), num_classes=2, width=8, momentum=0.1),
        TrainingSet(data.labelled, data.labels, rest),
        PARAMS.model_copy(update={"batch_size": 16, "iterations": 4}),
        device=torch.device("cpu"),
        generator=torch.Generator().manual_seed(0),
    )
    assert curve.loc[curve["phase"] == "all images", "histogram"].notna().sum() == 2


def test_without_component_classes_every_map_is_background(caplog: pytest.LogCaptureFixture) -> None:
    images = pd.DataFrame({"image_id": ["a", "b"], "file": ["a.png", "b.png"], "split": ["train", "test"]})
    nothing = LabelMaps(("a",), np.zeros((1, 32, 32), np.uint8), 1, np.zeros(1, bool))
    encoder = EncoderParams(name="tf_efficientnet_lite0", image_size=32)
    fitted = fit_segmentation(images, None, nothing, None, encoder, seed=0)  # type: ignore[arg-type]
    assert isinstance(fitted, Fitted)
    assert fitted.arguments["module"] is None
    maps = segment_images(fitted, images, None)  # type: ignore[arg-type]  # no file is opened
    assert maps.num_classes == 1
    assert not maps.values.any()
    assert "no component classes" in caplog.text
