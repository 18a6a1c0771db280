"""The cache of CLIP's features changes the speed only."""

from pathlib import Path

import torch

from stages.clip.model.features import CachedFeatures
from stages.clip.model.weights import load_encoder
from tests.unit.clip.case import SIZE, tiny_params


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_the_cache_changes_nothing_but_the_work(tmp_path: Path) -> None:
    encoder = load_encoder(tiny_params())
    cold = CachedFeatures(encoder, blocks=[1, 3], gigabytes=1, folder=tmp_path)
    first = cold.of_image(image())
    again = cold.of_image(image())
    warm = CachedFeatures(encoder, blocks=[1, 3], gigabytes=1, folder=tmp_path)
    third = warm.of_image(image())
    assert (cold.computed, warm.computed) == (1, 0)
    for other in (again, third):
        assert torch.equal(first.tokens, other.tokens)
        assert torch.equal(first.embedding, other.embedding)
    exact = encoder.image_features(image()[None], blocks=[1, 3])
    torch.testing.assert_close(first.tokens.float(), exact.tokens[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(first.embedding, exact.embedding[0])


def test_the_cache_distinguishes_images_blocks_and_encoders(tmp_path: Path) -> None:
    encoder = load_encoder(tiny_params())
    cached = CachedFeatures(encoder, blocks=[1], gigabytes=1, folder=tmp_path)
    cached.of_image(image())
    cached.of_image(image() + 1e-6 * (torch.arange(SIZE) == 0))
    assert cached.computed == 2
    for other, blocks in ((encoder, [2]), (load_encoder(tiny_params(weights={"random_seed": 1})), [1])):
        fresh = CachedFeatures(other, blocks=blocks, gigabytes=1, folder=tmp_path)
        fresh.of_image(image())
        assert fresh.computed == 1
