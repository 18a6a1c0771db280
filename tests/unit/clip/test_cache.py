"""The cache of CLIP's features changes the speed only."""

from pathlib import Path

import pytest
import torch

from stages.clip.model.features import CachedFeatures, key_of, stored_files
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


def test_the_cache_is_bounded_and_forgets_the_oldest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = load_encoder(tiny_params())
    probe = CachedFeatures(encoder, blocks=[1], gigabytes=1, folder=tmp_path / "probe")
    probe.of_image(image())
    size = probe.bytes
    cached = CachedFeatures(encoder, blocks=[1], gigabytes=4.5 * size / 1e9, folder=tmp_path / "c")
    for seed in range(4):
        cached.of_image(image(seed))
    for seed in (1, 2, 3):  # 0 was used longest ago
        cached.of_image(image(seed))
    assert cached.computed == 4
    cached.of_image(image(9))
    kept = {path.stem for _, _, path in stored_files(tmp_path / "c")}
    assert sum(path.stat().st_size for path in (tmp_path / "c").rglob("*.safetensors")) <= cached.limit
    assert key_of(image(9)) in kept
    assert key_of(image(0)) not in kept
    assert "the oldest features are deleted (cache_gigabytes)" in caplog.text


def test_a_damaged_cache_file_is_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cached = CachedFeatures(load_encoder(tiny_params()), blocks=[1], gigabytes=1, folder=tmp_path)
    before = cached.of_image(image())
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(cached.of_image(image()).tokens, before.tokens)
    assert "computing the features again" in caplog.text
