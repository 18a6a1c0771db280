"""Seeds and devices."""

import os
import random

import numpy as np
import pytest
import torch

from stages.core.encoder.device import has_fast_bfloat16, pick_device, seed_everything


@pytest.fixture(autouse=True)
def restored() -> object:
    """Leave torch as it was for the other tests."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def draws(generator: torch.Generator) -> list[float]:
    numbers = [random.random(), float(np.random.rand()), float(torch.rand(1))]  # noqa: NPY002 - the global state is meant
    return [*numbers, float(torch.rand(1, generator=generator))]


def test_one_seed_fixes_every_source() -> None:
    first, again, other = draws(seed_everything(3)), draws(seed_everything(3)), draws(seed_everything(4))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))
    assert torch.are_deterministic_algorithms_enabled()


def test_the_generator_is_independent_of_the_global_state() -> None:
    generator = seed_everything(3)
    expected = float(torch.rand(1, generator=generator))
    generator = seed_everything(3)
    torch.rand(100)
    assert float(torch.rand(1, generator=generator)) == expected


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="Seed must be between"):
        seed_everything(-1)


@pytest.mark.parametrize(("asked", "threads"), [({}, 1), ({"threads": None}, len(os.sched_getaffinity(0)))])
def test_an_operation_has_one_thread_on_the_cpu_or_one_a_permitted_core(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, None], threads: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(**asked) == torch.device("cpu")
    assert torch.get_num_threads() == threads


def test_a_gpu_is_taken_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")


def test_bfloat16_is_used_only_in_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=answer: answer)
        assert has_fast_bfloat16(torch.device("cpu")) is answer
