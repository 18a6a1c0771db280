"""MadCLIP: losses and scores by hand, and invariants."""

import numpy as np
import pytest
import torch

from stages.clip.madclip.data import Shots, augment
from stages.clip.madclip.losses import abnormal_maps, dice_loss, focal_loss, loss_terms, siglip_loss
from stages.clip.madclip.network import Adapter, DualAdapters, MadClip, Similarities
from stages.clip.madclip.params import VARIANTS, VariantName
from stages.clip.model.weights import load_encoder
from tests.unit.clip.case import tiny_params


def test_losses_by_hand() -> None:
    """One patch, S = (0.5, -1), a normal image: log sigmoid(0.5) + log sigmoid(1)."""
    detection = torch.tensor([[[0.5, -1.0]]])
    expected = np.log1p(np.exp(-0.5)) + np.log1p(np.exp(-1.0))
    assert float(siglip_loss(detection, torch.tensor([0.0]))) == pytest.approx(expected, rel=1e-5)
    probabilities = torch.tensor([[[[0.8, 0.3]], [[0.2, 0.7]]]])  # normal, abnormal of two pixels
    masks = torch.tensor([[[0.0, 1.0]]])
    focal = (-(0.2**2) * np.log(0.8) - 0.3**2 * np.log(0.7)) / 2
    assert float(focal_loss(probabilities, masks)) == pytest.approx(focal, rel=1e-3)
    dice = 1 - (2 * 0.7 + 1) / (0.9 + 1 + 1)
    assert float(dice_loss(probabilities[:, 1], masks)) == pytest.approx(dice, rel=1e-5)


def similarities(batch: int) -> Similarities:
    generator = torch.Generator().manual_seed(0)
    return Similarities(*(torch.randn(4, batch, 9, 2, generator=generator) for _ in range(2)))


def test_an_anomaly_without_a_mask_takes_no_part_in_the_segmentation() -> None:
    found, labels, masks = similarities(3), torch.tensor([0.0, 1.0, 1.0]), torch.zeros(3, 12, 12)
    masks[1, 3:6, 3:6] = 1.0
    some = loss_terms(found, labels, masks, torch.tensor([True, True, False]))
    fewer = Similarities(found.detection[:, :2], found.segmentation[:, :2])
    without = loss_terms(fewer, labels[:2], masks[:2], torch.ones(2, dtype=torch.bool))
    assert float(some["focal"]) == pytest.approx(float(without["focal"]))
    assert float(some["dice"]) == pytest.approx(float(without["dice"]))
    assert set(loss_terms(found, labels, masks, torch.zeros(3, dtype=torch.bool))) == {"siglip"}


def test_probabilities_add_up_and_the_map_is_the_abnormal_one() -> None:
    maps = abnormal_maps(similarities(2).segmentation, size=20)
    assert maps.shape == (4, 2, 2, 20, 20)
    torch.testing.assert_close(maps.sum(dim=2), torch.ones(4, 2, 20, 20))
    torch.testing.assert_close(0.5 * (1 - maps[:, :, 0]) + 0.5 * maps[:, :, 1], maps[:, :, 1])


def test_swapping_the_texts_negates_the_similarities() -> None:
    torch.manual_seed(0)
    adapters = DualAdapters(width=8, embed_dim=6, leak=0.01, normalise_hidden=True)
    tokens, texts = torch.randn(2, 4, 10, 8), torch.nn.functional.normalize(torch.randn(6, 2), dim=0)
    found, swapped = adapters(tokens, texts), adapters(tokens, texts.flip(1))
    assert found.detection.shape == (4, 2, 9, 2)
    torch.testing.assert_close(found.segmentation, -swapped.segmentation)
    assert float(found.detection.detach().abs().max()) <= 2.0


def test_variants_of_the_adapter_by_hand() -> None:
    """W1 = identity; the paper: ReLU. The code: LeakyReLU, then the channels have mean 0 and deviation 1."""
    tokens = torch.tensor([[[3.0, -100.0]]])
    for leak, normalise, expected in (
        (0.0, False, [3.0, 0.0]),
        (0.01, False, [3.0, -0.01]),
        (0.01, True, [1.0, -0.01]),
    ):
        adapter = Adapter(2, 2, leak=leak, normalise_hidden=normalise)
        for layer in (adapter.fc1, adapter.fc2, adapter.fc3):
            torch.nn.init.eye_(layer[0].weight)
        for found in adapter(tokens):
            torch.testing.assert_close(found[0, 0].detach(), torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_what_is_trained(name: VariantName) -> None:
    encoder = load_encoder(tiny_params())
    network = MadClip(encoder, name="brain", variant=name, learned="both")
    contexts = sorted(network.texts.ctx)
    assert contexts == sorted(f"{s}_{p}" for s in ("normal", "abnormal") for p in VARIANTS[name].positions)
    assert network.texts(encoder).shape == (32, 2)
    assert sorted(MadClip(encoder, name="brain", variant=name, learned="abnormal").texts.ctx) == [
        context for context in contexts if context.startswith("abnormal")
    ]


def test_augmentation_keeps_masks_with_their_images() -> None:
    """A white square on black: wherever the image is bright, the mask is 1."""
    images, masks = torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32)
    images[1, :, 8:16, 10:20], masks[1, 8:16, 10:20] = 1.0, 1.0
    found = augment(Shots(images, masks), zoom_and_jitter=True, generator=torch.Generator().manual_seed(0))
    assert found.images.shape == (32, 3, 32, 32)
    assert set(found.masks.unique().tolist()) == {0.0, 1.0}
    assert not found.masks[0::2].any()
    plain = [row for row in range(1, 32, 2) if row != 27]  # 13 is the jitter
    assert torch.equal((found.images[plain, 0] > 0.5).float(), found.masks[plain])
