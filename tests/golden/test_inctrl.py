"""InCTRL against numbers from its published code on a tiny random CLIP (origin: tests/golden/README.md)."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stages.clip.inctrl.network import (
    InContextHeads,
    InContextScores,
    focal_loss,
    loss_terms,
    patch_residuals,
    text_score,
)
from stages.clip.inctrl.texts import describe
from stages.clip.model.encoder import ClipEncoder, ImageFeatures, normalise
from tests.golden.tiny_clip import TOLERANCE, build_encoder, part, read_golden

VISION = {"image_size": 240, "layers": 12, "width": 64, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2}
TRAINED = ("adapter.", "diff_head.", "diff_head_ref.")


@dataclass(frozen=True)
class Golden:
    arrays: dict[str, np.ndarray]
    encoder: ClipEncoder
    weights: dict[str, torch.Tensor]
    query: ImageFeatures
    prompts: ImageFeatures

    def heads(self) -> InContextHeads:
        heads = InContextHeads(embed_dim=640, patches=225)
        heads.load_state_dict(part(self.weights, *TRAINED), strict=True)
        return heads.eval()

    def text(self) -> torch.Tensor:
        """The text score of each query."""
        features = [[self.encoder.ensemble(texts) for texts in describe(str(name))] for name in self.arrays["objects"]]
        normal, anomalous = (torch.stack(column) for column in zip(*features, strict=True))
        return text_score(self.query.embedding, normal, anomalous)

    def shared_prompts(self, shots: int) -> ImageFeatures:
        """The first prompts, the same for each of the three queries."""
        tokens, embedding = self.prompts.tokens[:shots], self.prompts.embedding[:shots]
        return ImageFeatures(tokens.expand(3, *tokens.shape), embedding.expand(3, *embedding.shape))

    def scores(self, heads: InContextHeads, shots: int, *, as_published: bool = False) -> InContextScores:
        return heads(self.query, self.shared_prompts(shots), self.text(), as_published=as_published)


def without_class(features: ImageFeatures) -> ImageFeatures:
    return ImageFeatures(features.tokens[:, :, 1:], features.embedding)


@pytest.fixture(scope="module")
def golden() -> Golden:
    weights, arrays = read_golden("inctrl")
    encoder = build_encoder(weights, embed_dim=640, vision=VISION, text=TEXT)
    both = [
        encoder.image_features(normalise(torch.from_numpy(arrays[name]) / 255.0), blocks=(7, 9, 11))
        for name in ("query_u8", "prompt_u8")
    ]
    for name, features in zip(("query", "prompt"), both, strict=True):
        np.testing.assert_allclose(features.tokens.transpose(0, 1), arrays[f"{name}_tokens_b7_9_11"], **TOLERANCE)
        np.testing.assert_allclose(features.embedding, arrays[f"{name}_cls_embed"], **TOLERANCE)
    return Golden(arrays, encoder, weights, without_class(both[0]), without_class(both[1]))


@pytest.mark.parametrize("name", ["candle", "metal_nut", "cat"])
def test_texts_and_their_features(golden: Golden, name: str) -> None:
    texts = describe(name)
    assert [len(one) for one in texts] == ([1, 1] if name == "cat" else [154, 88])
    for kind, sentences in zip(("normal", "abnormal"), texts, strict=True):
        ids = golden.arrays[f"text/{name}/{kind}_ids"]
        np.testing.assert_array_equal(golden.encoder.tokenize(sentences[: len(ids)]), ids)
        expected = golden.arrays[f"text/{name}/{kind}_feature"]
        np.testing.assert_allclose(golden.encoder.ensemble(sentences), expected, **TOLERANCE)


@pytest.mark.parametrize("shots", [1, 2, 4])
@torch.no_grad()
def test_scores_in_eval_mode(golden: Golden, shots: int) -> None:
    """Each published number was computed for one query alone; here the three come in one batch."""
    heads, expected = golden.heads(), {}
    for name, value in golden.arrays.items():
        if name.startswith(f"eval_shot{shots}/"):
            expected[name.partition("/")[2]] = value
    found = golden.scores(heads, shots)
    prompts = golden.shared_prompts(shots)
    maps = patch_residuals(golden.query.tokens, prompts.tokens)
    residual = heads.image_residual(golden.query.embedding, prompts.embedding)
    holistic = found.residual_map + (golden.text() + found.image)[:, None]
    values = {
        "final_score": found.final, "img_ref_score": found.image, "text_score": golden.text()[:, None],
        "hl_score": found.holistic, "fg_score": found.patch, "patch_ref_map": found.residual_map, "layer_maps": maps,
        "token": golden.query.embedding, "token_ref": residual, "holistic_map": holistic,
    }  # fmt: skip
    assert set(values) == set(expected)
    for name, value in values.items():
        np.testing.assert_allclose(value, expected[name], **TOLERANCE, err_msg=name)


def test_training_with_correct_pairs(golden: Golden) -> None:
    heads, arrays = golden.heads().train(), golden.arrays
    found = golden.scores(heads, 2)
    for name, value in (("final_score", found.final), ("img_ref_score", found.image), ("hl_score", found.holistic)):
        np.testing.assert_allclose(value.detach(), arrays[f"train_paired/{name}"], rtol=0, atol=1e-3)
    terms = loss_terms(found, torch.from_numpy(arrays["train_paired/label"]), double_sigmoid=True)
    np.testing.assert_allclose(terms["final"].detach(), arrays["train_paired/loss_final"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(terms["image"].detach(), arrays["train_paired/loss_image"], rtol=0, atol=1e-4)
    (terms["final"] + terms["image"]).backward()
    gradients = {name: value.grad for name, value in heads.named_parameters() if value.grad is not None}
    for name, norm in arrays.items():
        if name.startswith("train_paired/grad_norm/"):
            np.testing.assert_allclose(gradients[name.rpartition("/")[2]].norm(), norm, rtol=2e-3, err_msg=name)
    np.testing.assert_allclose(
        gradients["diff_head.projection2.bias"], arrays["train_paired/grad/diff_head.projection2.bias"], atol=1e-4
    )


def test_published_batching_equals_the_published_code(golden: Golden) -> None:
    arrays = golden.arrays
    with torch.no_grad():
        found = golden.scores(golden.heads(), 2, as_published=True)
    np.testing.assert_allclose(found.residual_map, arrays["official_batched_eval_shot2/patch_ref_map"], **TOLERANCE)
    np.testing.assert_allclose(found.final, arrays["official_batched_eval_shot2/final_score"], **TOLERANCE)
    assert np.abs(found.residual_map.numpy() - arrays["eval_shot2/patch_ref_map"]).max() > 1e-2
    trained = golden.scores(golden.heads().train(), 2, as_published=True)
    prefix = "train_official_scrambled"
    np.testing.assert_allclose(trained.final.detach(), arrays[f"{prefix}/final_score"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(trained.image.detach(), arrays[f"{prefix}/img_ref_score"], rtol=0, atol=1e-3)
    terms = loss_terms(trained, torch.from_numpy(arrays["train_paired/label"]), double_sigmoid=True)
    for name in ("final", "image"):
        np.testing.assert_allclose(terms[name].detach(), arrays[f"{prefix}/loss_{name}"], rtol=0, atol=1e-4)


def test_focal_loss(golden: Golden) -> None:
    values, labels = (torch.from_numpy(golden.arrays[f"focal/{name}"]) for name in ("input", "target"))
    np.testing.assert_allclose(focal_loss(values, labels, are_logits=True), golden.arrays["focal/value"], rtol=1e-5)
