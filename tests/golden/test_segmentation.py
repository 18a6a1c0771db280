"""Segmentation network and losses against numbers from CSAD's own code (origin: tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stages.aecsad.model.segmentor import CSAD_MOMENTUM, DEFAULT_MOMENTUM, Segmentor
from stages.aecsad.segmentation.training import (
    balanced_dice_loss,
    cross_entropy_loss,
    entropy_loss,
    focal_loss,
    histogram_loss,
    loss_terms,
    one_hot,
)
from tests.golden.hashed import fill, hval

FOLDER = Path(__file__).parent
CSAD_WEIGHTS = {"cross_entropy": 0.5, "focal": 10.0, "dice": 1.0, "histogram": 10.0, "entropy": 1.0}


def losses() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "csad_losses.npz") as arrays:
        return dict(arrays)


def golden_inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    golden = losses()
    labels, random_labels = (
        torch.from_numpy(golden[f"loss.{name}"][:, 0].astype(np.int64)) for name in ("targets", "rand_targets")
    )
    return torch.from_numpy(golden["loss.logits"]).requires_grad_(), labels, random_labels


@pytest.mark.parametrize(
    ("name", "loss"), [("focal", focal_loss), ("dice_cb", balanced_dice_loss)], ids=["focal", "dice"]
)
def test_supervised_losses_and_gradients_equal_csad(name: str, loss) -> None:  # type: ignore[no-untyped-def]
    logits, labels, _ = golden_inputs()
    value = loss(logits.softmax(dim=1), one_hot(labels, 5))
    value.backward()
    np.testing.assert_allclose(float(value.detach()), losses()[f"loss.{name}"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad, losses()[f"loss.{name}.grad"], atol=1e-6)


def test_cross_entropy_takes_one_softmax() -> None:
    logits, labels, _ = golden_inputs()
    value = float(cross_entropy_loss(logits, labels).detach())
    np.testing.assert_allclose(value, losses()["loss.ce_single_softmax"], rtol=1e-5)
    assert abs(value - float(losses()["loss.ce"])) > 0.01  # the double softmax of the published code


@pytest.mark.parametrize(("name", "term"), [("ce", "cross_entropy"), ("dice_cb", "dice")])
def test_exact_losses_and_gradients_equal_csad(name: str, term: str) -> None:
    logits, labels, _ = golden_inputs()
    value = loss_terms(logits, labels, None, labels, csad_exact=True)[term]
    value.backward()
    np.testing.assert_allclose(float(value.detach()), losses()[f"loss.{name}"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad, losses()[f"loss.{name}.grad"], atol=1e-6)


def test_exact_dice_loss_equals_csad_where_a_class_is_absent() -> None:
    labels, logits = golden_inputs()[1], hval((3, 6, 24, 20), 7005, 4).requires_grad_()
    value = balanced_dice_loss(logits.softmax(dim=1), one_hot(labels, 6), csad_exact=True)
    value.backward()
    np.testing.assert_allclose(float(value.detach()), losses()["loss.dice_cb_absent6"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad, losses()["loss.dice_cb_absent6.grad"], atol=1e-6)


@pytest.mark.parametrize("phase", ["sup_only", "semi"])
def test_exact_total_and_gradient_equal_csad(phase: str) -> None:
    logits, labels, random_labels = golden_inputs()
    unlabelled = hval((3, 5, 24, 20), 7004, 4) if phase == "semi" else None
    terms = loss_terms(logits, labels, unlabelled, random_labels, csad_exact=True)
    total = sum(CSAD_WEIGHTS[name] * term for name, term in terms.items())
    assert isinstance(total, torch.Tensor)
    total.backward()
    np.testing.assert_allclose(float(total.detach()), losses()[f"loss.total_{phase}"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad, losses()[f"loss.total_{phase}.grad"], atol=1e-6)


def test_histogram_loss_equals_csad() -> None:
    logits, _, random_labels = golden_inputs()
    value = histogram_loss(logits.softmax(dim=1), one_hot(random_labels, 5))
    value.backward()
    np.testing.assert_allclose(float(value.detach()), losses()["loss.hist_ignore0"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad, losses()["loss.hist_ignore0.grad"], atol=1e-6)


def test_entropy_loss_equals_csad() -> None:
    logits, _, _ = golden_inputs()
    value = entropy_loss(logits.softmax(dim=1))
    value.backward()
    np.testing.assert_allclose(float(value.detach()), losses()["loss.entropy"], rtol=1e-5)
    np.testing.assert_allclose(logits.grad, losses()["loss.entropy.grad"], atol=1e-6)


def test_a_class_absent_from_the_batch_has_no_weight_in_the_dice_loss() -> None:
    labels = golden_inputs()[1]
    logits = hval((3, 6, 24, 20), 7005, 4)
    ours = float(balanced_dice_loss(logits.softmax(dim=1), one_hot(labels, 6)))
    published = float(losses()["loss.dice_cb_absent6"])  # class 5 never occurs and takes practically all the weight
    assert published == pytest.approx(1 / 6, rel=1e-3)
    count = torch.bincount(labels.flatten(), minlength=6).double()
    weight = torch.where(count > 0, 1 / (count + 1e-5), torch.zeros_like(count))
    weight = weight / weight.sum()
    p, y = logits.softmax(1).double(), nn.functional.one_hot(labels, 6).movedim(-1, 1).double()
    dice = (2 * (p * y).sum((2, 3)) + 1e-5) / (p.sum((2, 3)) + y.sum((2, 3)) + 2e-5)
    assert ours == pytest.approx(float((weight * (1 - dice)).mean()), rel=1e-5)
    assert abs(ours - published) > 1e-3


def golden_segmentor(momentum: float) -> Segmentor:
    segmentor = Segmentor((16, 32), num_classes=5, width=256, momentum=momentum)
    blocks = [*segmentor.pyramid, segmentor.image_pool, segmentor.reduce, segmentor.merge, *segmentor.refine[:2]]
    tensors: list[torch.Tensor] = []
    kinds: list[str] = []
    for block in blocks:
        conv, norm = block[0], block[1]
        tensors += [conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.num_batches_tracked]
        kinds += ["weight", "gamma", "bias", "mean", "var", "count"]
    last = segmentor.refine[2]
    fill([*tensors, last.weight, last.bias], [*kinds, "weight", "bias"], base=6000)
    return segmentor


@torch.no_grad()
def test_segmentor_equals_csad() -> None:
    segmentor = golden_segmentor(DEFAULT_MOMENTUM)
    low, high = hval((2, 16, 16, 16), 6901), hval((2, 32, 4, 4), 6903)
    with np.load(FOLDER / "csad_segmentor.npz") as golden:
        for mode, key in ((False, "seg.eval_logits"), (True, "seg.train_logits")):
            logits = segmentor.train(mode)(low, high, size=64)
            np.testing.assert_allclose(logits, golden[key], rtol=0, atol=1e-4)


@torch.no_grad()
def test_exact_running_statistics_equal_csad() -> None:
    segmentor = golden_segmentor(CSAD_MOMENTUM)
    segmentor.train()(hval((2, 16, 16, 16), 6901), hval((2, 32, 4, 4), 6903), size=64)
    norms = {
        "aspp.stages.c0": segmentor.pyramid[0], "aspp.stages.imagepool.conv": segmentor.image_pool,
        "reduce": segmentor.reduce, "fc2.conv2": segmentor.refine[1],
    }  # fmt: skip
    with np.load(FOLDER / "csad_segmentor.npz") as golden:
        for name, block in norms.items():
            for statistic in ("running_mean", "running_var"):
                expected = golden[f"seg.after_train.{name}.bn.{statistic}"]
                np.testing.assert_allclose(getattr(block[1], statistic), expected, rtol=0, atol=1e-4)
