"""InCTRL: residuals by hand, invariants, and the images of episodes and prompts."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.clip.inctrl.data import LabelledImage, choose_prompts, draw_episodes
from stages.clip.inctrl.network import InContextHeads, focal_loss, patch_residuals, text_score
from stages.clip.inctrl.scoring import uncrop
from stages.clip.model.encoder import ImageFeatures


def drawn(batch: int, shots: int, *, seed: int = 0) -> tuple[ImageFeatures, ImageFeatures, torch.Tensor]:
    """Random queries, prompts and text scores: 3 blocks, 9 patches, 8 channels, embeddings of 16."""
    generator = torch.Generator().manual_seed(seed)
    query = ImageFeatures(torch.randn(batch, 3, 9, 8, generator=generator), torch.randn(batch, 16, generator=generator))
    prompts = ImageFeatures(
        torch.randn(batch, shots, 3, 9, 8, generator=generator), torch.randn(batch, shots, 16, generator=generator)
    )
    return query, prompts, torch.rand(batch, generator=generator)


def new_heads() -> InContextHeads:
    torch.manual_seed(1)
    return InContextHeads(embed_dim=16, patches=9).eval().requires_grad_(False)


def rows(features: ImageFeatures, chosen: Any) -> ImageFeatures:
    return ImageFeatures(features.tokens[chosen], features.embedding[chosen])


def test_patch_residual_by_hand() -> None:
    """Patch (1, 0) is 45 degrees from (1, 1) and 90 from (0, 1): (1 - 0.7071) / 2; (0, 5) is a prompt's patch."""
    query = torch.tensor([[[[1.0, 0.0], [0.0, 5.0]]]])
    prompts = torch.tensor([[[[[0.0, 1.0], [0.0, 2.0]]], [[[1.0, 1.0], [0.0, 1.0]]]]])
    torch.testing.assert_close(patch_residuals(query, prompts), torch.tensor([[[0.5 * (1 - 0.5**0.5), 0.0]]]))


def test_a_query_among_its_prompts_has_no_residual() -> None:
    query, prompts, _ = drawn(2, 3)
    prompts.tokens[:, 1] = query.tokens
    torch.testing.assert_close(patch_residuals(query.tokens, prompts.tokens), torch.zeros(2, 3, 9), atol=1e-6, rtol=0)


def test_scores_do_not_depend_on_the_batch_or_order_of_prompts() -> None:
    heads, (query, prompts, text) = new_heads(), drawn(4, 3)
    together = heads(query, prompts, text)
    shuffled = ImageFeatures(prompts.tokens[:, [2, 0, 1]], prompts.embedding[:, [2, 0, 1]])
    torch.testing.assert_close(heads(query, shuffled, text).final, together.final)
    for row in range(4):
        alone = heads(rows(query, [row]), rows(prompts, [row]), text[[row]])
        torch.testing.assert_close(alone.final, together.final[[row]])
        torch.testing.assert_close(alone.residual_map, together.residual_map[[row]])


def test_published_batching_differs_for_several_queries_only() -> None:
    heads, (query, prompts, text) = new_heads(), drawn(4, 3)
    mixed = heads(query, prompts, text, as_published=True)
    assert float((mixed.residual_map - heads(query, prompts, text).residual_map).abs().max()) > 0.01
    one = (rows(query, [0]), rows(prompts, [0]), text[[0]])
    torch.testing.assert_close(heads(*one, as_published=True).final, heads(*one).final)


def test_swapping_prompt_and_query_flips_the_image_residual() -> None:
    heads, (query, prompts, _) = new_heads(), drawn(2, 1)
    there = heads.image_residual(query.embedding, prompts.embedding)
    back = heads.image_residual(prompts.embedding[:, 0], query.embedding[:, None])
    assert float(there.abs().max()) > 0
    torch.testing.assert_close(there, -back)


def test_bn1_of_the_published_checkpoints_has_no_effect() -> None:
    heads, case = new_heads(), drawn(2, 1)
    before = heads(*case).final
    heads.diff_head.bn1.weight.fill_(7.0)
    heads.diff_head_ref.bn1.running_mean.fill_(7.0)
    assert torch.equal(heads(*case).final, before)


def test_text_score_by_hand() -> None:
    """Cosines of 0.6 and 0.64 at scale 100: 1 / (1 + exp(-4))."""
    query, normal, anomalous = torch.tensor([3.0, 0.0]), torch.tensor([0.6, 0.8]), torch.tensor([0.64, 0.76837])
    assert float(text_score(query, normal, anomalous)) == pytest.approx(1 / (1 + np.exp(-4)), rel=1e-4)


def test_focal_loss_of_probabilities_by_hand() -> None:
    values, labels = torch.tensor([0.9, 0.2]), torch.tensor([1.0, 0.0])
    expected = (0.1**2 * -np.log(0.9) + 0.2**2 * -np.log(0.8)) / 2
    assert float(focal_loss(values, labels, are_logits=False)) == pytest.approx(expected, rel=1e-5)


def test_unseen_borders_have_no_residual() -> None:
    square = torch.full((1, 16), 0.5)
    assert torch.equal(uncrop(square, width=9, height=9), square.view(4, 4))
    wide = uncrop(square, width=200, height=100)
    torch.testing.assert_close(wide, torch.tensor([[0.0, 0.5, 0.5, 0.0]]).expand(4, 4))
    torch.testing.assert_close(uncrop(square, width=100, height=200), wide.T)


def labelled() -> list[LabelledImage]:
    """Category a: 5 normal, 2 anomalous; b: 4 and 1."""
    kinds = [("a", False)] * 5 + [("a", True)] * 2 + [("b", False)] * 4 + [("b", True)]
    return [LabelledImage(Path(f"{n}.png"), category, bad, None) for n, (category, bad) in enumerate(kinds)]


def test_episodes_are_balanced_with_normal_prompts_of_the_category() -> None:
    images = labelled()
    episodes = draw_episodes(
        images, shots=3, batch_size=6, exclude_query=True, generator=torch.Generator().manual_seed(0)
    )
    seen: list[int] = []
    for episode in itertools.islice(episodes, 30):
        assert [images[row].is_anomalous for row in episode.queries] == [False] * 3 + [True] * 3
        for query, prompts in zip(episode.queries, episode.prompts, strict=True):
            assert len(set(prompts)) == 3
            assert query not in prompts
            assert not any(images[row].is_anomalous for row in prompts)
            assert {images[row].category for row in prompts} == {images[query].category}
        seen += episode.queries[:3]
    assert sorted(seen[:9]) == [0, 1, 2, 3, 4, 7, 8, 9, 10]  # every normal image once before any comes again


def test_a_query_may_be_its_own_prompt_where_params_say_so() -> None:
    images = labelled()
    episodes = draw_episodes(
        images, shots=4, batch_size=2, exclude_query=False, generator=torch.Generator().manual_seed(0)
    )
    assert any(e.queries[0] in e.prompts[0] for e in itertools.islice(episodes, 20))


def test_prompts_come_from_training_images_and_repeat_with_the_seed() -> None:
    images = pd.DataFrame(
        [(f"{split}/{n}", split) for split in ("train", "validation", "test") for n in range(9)],
        columns=["image_id", "split"],
    )
    first, again, other = (
        choose_prompts(images, shots=4, repetitions=3, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len({tuple(own) for own in first}) == 3
    assert all(name.startswith("train/") for own in first for name in own)
