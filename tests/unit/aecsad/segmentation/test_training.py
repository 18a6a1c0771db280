"""Training of the decoder: draws, terms of the loss, and a case that can be checked by eye."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.aecsad.model.segmentor import Segmentor
from stages.aecsad.segmentation.data import StageFeatures, TrainingSet
from stages.aecsad.segmentation.params import Epochs
from stages.aecsad.segmentation.training import (
    balanced_dice_loss,
    count_iterations,
    draw_rows,
    loss_terms,
    one_hot,
    shrink_labels,
    train_segmentor,
)
from tests.unit.aecsad.scenes import PARAMS, feature_set


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


@pytest.mark.parametrize("unlabelled", [True, False])
def test_training_learns_a_visible_class(unlabelled: bool, caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    segmentor, data = Segmentor((4, 4), num_classes=2, width=8, momentum=0.1), feature_set(unlabelled)
    with caplog.at_level(logging.WARNING):
        train_segmentor(
            segmentor, data, PARAMS, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0)
        )  # fmt: skip
    assert ("every training image is labelled" in caplog.text) is not unlabelled
    with torch.no_grad():
        predicted = segmentor(*data.labelled.batch(torch.tensor([0]), torch.device("cpu")), size=64).argmax(dim=1)
    assert (predicted == data.labels[:1]).float().mean() > 0.95


def test_a_batch_may_hold_more_unlabelled_images_than_there_are_labelled() -> None:
    data = feature_set(unlabelled=True)
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


def test_a_class_in_one_image_only_trains_with_finite_losses(here: Path) -> None:
    torch.manual_seed(0)
    data = feature_set(unlabelled=True)
    data.labels[0, 50:54, 50:54] = 2
    segmentor = Segmentor((4, 4), num_classes=3, width=8, momentum=0.1)
    train_segmentor(segmentor, data, PARAMS, device=torch.device("cpu"), generator=torch.Generator().manual_seed(0))
    assert all(tensor.isfinite().all() for tensor in segmentor.state_dict().values())
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    only_background = one_hot(torch.zeros(2, 8, 8, dtype=torch.int64), 3)
    balanced_dice_loss(logits.softmax(dim=1), only_background).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_an_epoch_is_a_pass_without_its_short_rest() -> None:
    assert count_iterations(150, labelled=7, batch_size=4) == 150
    assert count_iterations(Epochs(epochs=120), labelled=151, batch_size=4) == 120 * 37
    assert count_iterations(Epochs(epochs=3), labelled=2, batch_size=4) == 3  # all of them are one batch
    assert count_iterations(Epochs(epochs=3), labelled=1, batch_size=4) == 3
