"""Tensors on disk: the same again, each input apart, never more than allowed, and damage is seen."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stages.core.encoder.cache import TensorCache, key_of, stored_files

LONG_AGO = 7200


def tensors(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"low": torch.rand(3, 5, generator=generator), "high": torch.rand(2, generator=generator).half()}


def test_what_was_stored_comes_back_in_any_process(tmp_path: Path) -> None:
    TensorCache(tmp_path, "network", gigabytes=1).put("a", tensors())
    stored = TensorCache(tmp_path, "network", gigabytes=1).get("a")
    assert stored is not None
    assert all(torch.equal(stored[name], one) and stored[name].dtype == one.dtype for name, one in tensors().items())


def test_networks_and_keys_are_apart(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path, "network", gigabytes=1)
    cache.put("a", tensors())
    assert cache.get("b") is None
    assert TensorCache(tmp_path, "other", gigabytes=1).get("a") is None


def test_a_key_is_of_values_shape_and_type() -> None:
    values = torch.zeros(2, 3)
    others = [values + 1e-6 * (torch.arange(3) == 0), values.view(3, 2), values.half(), values.to(torch.int32)]
    keys = {key_of(values), *(key_of(other) for other in others)}
    assert len(keys) == 5
    assert key_of(values.T.contiguous().T) == key_of(values)  # the layout in memory does not count


def test_the_least_recently_used_goes_and_what_is_in_use_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    probe = TensorCache(tmp_path / "probe", "x", gigabytes=1)
    probe.put("a", tensors())
    cache = TensorCache(tmp_path / "c", "x", gigabytes=4.5 * probe.bytes / 1e9)
    for name in "abcd":
        cache.put(name, tensors())
        age = time.time() - LONG_AGO - (10 if name == "a" else 0)
        os.utime(cache.path(name), (age, age))
    cache.get("b")
    cache.put("e", tensors())
    kept = {path.stem for _, _, path in stored_files(tmp_path / "c")}
    assert kept == {"b", "c", "d", "e"}
    for name in "cd":
        cache.get(name)
    cache.put("f", tensors())
    assert cache.get("f") is None, "all others were used just now"
    assert all(cache.get(name) for name in "bcde")
    assert "holds its" in caplog.text


def test_no_space_at_all_stores_nothing(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path, "x", gigabytes=0)
    cache.put("a", tensors())
    assert cache.get("a") is None
    assert stored_files(tmp_path) == []


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return b""


def turned(content: bytes) -> bytes:
    return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]


@pytest.mark.parametrize("damage", [cut, empty, turned])
def test_damage_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object) -> None:
    cache = TensorCache(tmp_path, "x", gigabytes=1)
    cache.put("a", tensors())
    cache.path("a").write_bytes(damage(cache.path("a").read_bytes()))  # type: ignore[operator]
    assert cache.get("a") is None
    assert "computing it again" in caplog.text


def test_threads_that_store_at_once_keep_to_the_limit(tmp_path: Path) -> None:
    probe = TensorCache(tmp_path / "probe", "x", gigabytes=1)
    probe.put("a", tensors())
    cache = TensorCache(tmp_path / "c", "x", gigabytes=4.5 * probe.bytes / 1e9)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: cache.put(str(key), tensors()), range(40)))
    assert sum(size for _, size, _ in stored_files(tmp_path / "c")) == 4 * probe.bytes == cache.bytes
