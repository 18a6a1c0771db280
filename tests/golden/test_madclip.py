"""MadCLIP against numbers from its published code on a tiny random CLIP (origin: tests/golden/README.md)."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stages.clip.madclip.data import Shots, augment
from stages.clip.madclip.losses import abnormal_maps, detection_scores, loss_terms, over_blocks, siglip_loss
from stages.clip.madclip.network import MadClip
from stages.clip.madclip.prompts import LearnedTexts
from stages.clip.model.encoder import ClipEncoder, ImageFeatures
from stages.clip.model.weights import load_state
from tests.golden.tiny_clip import TOLERANCE, build_encoder, part, read_golden

VISION = {"image_size": 90, "layers": 24, "width": 32, "head_width": 16, "patch_size": 14}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
BLOCKS = (6, 12, 18, 24)
LOSS = {"rtol": 0, "atol": 1e-5}


@dataclass(frozen=True)
class Golden:
    arrays: dict[str, np.ndarray]
    weights: dict[str, torch.Tensor]
    encoder: ClipEncoder
    images: ImageFeatures

    def network(self) -> MadClip:
        """The trained part with the stored weights."""
        network = MadClip(self.encoder, name="Brain", variant="as_code", learned="both")
        adapters = part(self.weights, "normal_det_adapters.", "abnormal_det_adapters.")
        state = {f"adapters.{name}": value for name, value in adapters.items()}
        state |= {f"texts.{name}": value for name, value in part(self.weights, "ctx.").items()}
        network.load_state_dict(state, strict=True)
        return network

    def terms(self, network: MadClip) -> dict[str, torch.Tensor]:
        labels, masks = torch.from_numpy(self.arrays["label"]), torch.from_numpy(self.arrays["mask_gt"])[:, 0]
        found = network(self.images.tokens, self.encoder)
        return loss_terms(found, labels, masks, torch.ones(3, dtype=torch.bool))


@pytest.fixture(scope="module")
def golden() -> Golden:
    weights, arrays = read_golden("madclip")
    encoder = build_encoder(weights, embed_dim=24, vision=VISION, text=TEXT)
    images = encoder.image_features(torch.from_numpy(arrays["image_u8"]) / 255.0, blocks=BLOCKS)
    return Golden(arrays, weights, encoder, images)


def test_tokens_of_a_size_that_is_no_multiple_of_the_patch(golden: Golden) -> None:
    assert golden.encoder.grid == 6
    expected = golden.arrays["tokens_l6_12_18_24"]
    np.testing.assert_allclose(golden.images.tokens.transpose(0, 1), expected, **TOLERANCE)
    np.testing.assert_allclose(golden.images.embedding, golden.arrays["image_embed"], **TOLERANCE)


def test_the_activation_is_not_quick_gelu(golden: Golden) -> None:
    quick = build_encoder(golden.weights, embed_dim=24, vision=VISION, text=TEXT, quick_gelu=True)
    found = quick.image_features(torch.from_numpy(golden.arrays["image_u8"]) / 255.0, blocks=BLOCKS)
    assert float((found.tokens - golden.images.tokens).abs().max()) > 0.01


def test_positional_embedding_is_resized_as_the_published_loader_does(golden: Golden) -> None:
    clip = golden.encoder.clip
    before = clip.visual.positional_embedding.detach().clone()
    try:
        stored = torch.from_numpy(golden.arrays["pos_embed_resize/src_8x8"])
        load_state(clip, {**clip.state_dict(), "visual.positional_embedding": stored})
        np.testing.assert_allclose(
            clip.visual.positional_embedding, golden.arrays["pos_embed_resize/dst_6x6"], rtol=0, atol=1e-6
        )
    finally:
        clip.visual.positional_embedding.data = before


@pytest.mark.parametrize("state", ["normal", "abnormal"])
@torch.no_grad()
def test_prompts(golden: Golden, state: str) -> None:
    texts, arrays = golden.network().texts, golden.arrays
    own = texts.phrases[state]
    np.testing.assert_array_equal(own.ids, arrays[f"prompt/{state}_token_ids"])
    np.testing.assert_array_equal(own.lengths, arrays[f"prompt/{state}_class_token_len"])
    expected = arrays[f"prompt/{state}_embeddings_first20"]
    np.testing.assert_allclose(texts.embeddings(state)[:, :20], expected, **TOLERANCE)
    raw = arrays[f"prompt/{state}_raw_text_features"]
    np.testing.assert_allclose(texts.features(golden.encoder, state), raw, **TOLERANCE)
    causal = texts.features(golden.encoder, state, causal=True).numpy()
    assert np.abs(causal - raw).max() > 0.1  # a causal mask would be a "fix" that changes the method


@torch.no_grad()
def test_texts(golden: Golden) -> None:
    learned = golden.network().texts
    np.testing.assert_allclose(learned(golden.encoder), golden.arrays["text/t"], **TOLERANCE)
    fixed = LearnedTexts(golden.encoder, name="Brain", positions=(), learned="none")
    np.testing.assert_allclose(fixed(golden.encoder), golden.arrays["text/fixed_t"], **TOLERANCE)
    mixed = LearnedTexts(golden.encoder, name="Brain", positions=("end", "front", "middle"), learned="abnormal")
    mixed.load_state_dict(part(golden.weights, "ctx.abnormal"))
    expected = np.stack([golden.arrays["text/fixed_t"][:, 0], golden.arrays["text/t"][:, 1]], axis=1)
    np.testing.assert_allclose(mixed(golden.encoder), expected, **TOLERANCE)


@torch.no_grad()
def test_adapters_and_similarities(golden: Golden) -> None:
    network, arrays = golden.network(), golden.arrays
    for branch, adapters in (
        ("n", network.adapters.normal_det_adapters),
        ("ab", network.adapters.abnormal_det_adapters),
    ):
        for block, adapter in enumerate(adapters):
            for head, value in zip(("det", "seg"), adapter(golden.images.tokens[:, block]), strict=True):
                np.testing.assert_allclose(value, arrays[f"adapter/{branch}_{head}"][block], **TOLERANCE)
    found = network(golden.images.tokens, golden.encoder)
    np.testing.assert_allclose(found.detection, arrays["S_det"], **TOLERANCE)
    np.testing.assert_allclose(found.segmentation, arrays["S_seg"], **TOLERANCE)


@torch.no_grad()
def test_maps_and_scores(golden: Golden) -> None:
    found, arrays = golden.network()(golden.images.tokens, golden.encoder), golden.arrays
    maps = abnormal_maps(found.segmentation, size=90)
    np.testing.assert_allclose(maps[:, :, 1], arrays["mask_prob_abn_per_layer"], **TOLERANCE)
    summed = over_blocks(maps[:, :, 1], mean=False)
    np.testing.assert_allclose(summed, arrays["anomaly_map_sum"], **TOLERANCE)
    np.testing.assert_allclose(summed.amax(dim=(1, 2)), arrays["image_score_from_map_max"], **TOLERANCE)
    scores = detection_scores(found.detection)
    np.testing.assert_allclose(scores, arrays["c_per_layer"], **TOLERANCE)
    np.testing.assert_allclose(over_blocks(scores, mean=False), arrays["c_sum"], **TOLERANCE)
    np.testing.assert_allclose(over_blocks(scores, mean=True), arrays["c_sum"] / 4, **TOLERANCE)


def test_losses(golden: Golden) -> None:
    arrays, terms = golden.arrays, golden.terms(golden.network())
    for name in ("siglip", "focal", "dice"):
        np.testing.assert_allclose(terms[name].detach(), arrays[f"loss/{name}_per_layer"].sum(), **LOSS)
    np.testing.assert_allclose(sum(terms.values()).detach(), arrays["loss/total"], **LOSS)
    found, labels = torch.from_numpy(arrays["S_det"]), torch.from_numpy(arrays["label"])
    for decision, name in (("mean", "per_layer"), ("max", "dec_max"), ("both", "dec_both")):
        values = [siglip_loss(block, labels, decision=decision) for block in found]
        np.testing.assert_allclose(torch.stack(values), arrays[f"loss/siglip_{name}"], **LOSS)


def test_gradients(golden: Golden) -> None:
    network = golden.network()
    sum(golden.terms(network).values()).backward()
    named = dict(network.named_parameters())
    for name in ("normal_det_adapters.0.fc1.0.weight", "abnormal_det_adapters.3.fc3.0.weight"):
        np.testing.assert_allclose(named[f"adapters.{name}"].grad, golden.arrays[f"grad/{name}"], **LOSS)
    context = golden.arrays["grad/ctx.normal_middle"]
    assert np.abs(context).max() > 1e-4
    np.testing.assert_allclose(named["texts.ctx.normal_middle"].grad, context, **LOSS)


def test_three_steps_of_adam(golden: Golden) -> None:
    network, losses = golden.network(), []
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for _ in range(4):
        total = torch.stack(list(golden.terms(network).values())).sum()
        losses.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, golden.arrays["train/total_loss_steps0_3"], rtol=0, atol=1e-3)
    assert losses[3] < losses[0]


def test_augmentation(golden: Golden) -> None:
    """The published file was drawn with torch's seed 0, so that the random variant can be compared too."""
    arrays = golden.arrays
    shots = Shots(torch.from_numpy(arrays["augment/image"]), torch.from_numpy(arrays["augment/mask"])[:, 0])
    found = augment(shots, zoom_and_jitter=True, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(found.images, arrays["augment/out_image"], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.masks, arrays["augment/out_mask"][:, 0] > 0.5)
    fewer = augment(shots, zoom_and_jitter=False, generator=torch.Generator())
    assert torch.equal(fewer.images, found.images[[*range(9), 14, 15]])
