"""Optimisers and learning-rate schedules by hand."""

import pytest
import torch
from torch import nn

from stages.core.training.optimisation import build_optimizer, build_schedule


def rates(schedule: str, iterations: int) -> list[float]:
    """The learning rate of each iteration, peak 0.5."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    built = build_schedule(schedule, optimizer, learning_rate=0.5, iterations=iterations)  # type: ignore[arg-type]
    found = []
    for _ in range(iterations):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        built.step()
    return found


def test_a_step_divides_the_rate_by_ten_in_the_last_twentieth() -> None:
    assert rates("step", 40) == pytest.approx([0.5] * 38 + [0.05] * 2)
    assert rates("step", 2) == pytest.approx([0.5, 0.05])


def test_a_constant_rate_stays() -> None:
    assert rates("constant", 10) == [0.5] * 10


def test_a_cosine_falls_from_the_peak_towards_a_hundredth() -> None:
    found = rates("cosine", 100)
    assert found[0] == 0.5
    assert found[50] == pytest.approx((0.5 + 0.005) / 2)
    assert 0.005 < found[-1] < 0.006


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_nothing() -> None:
    found = rates("one_cycle", 10)
    assert max(found) == pytest.approx(0.5)
    assert found.index(max(found)) in (2, 3)
    assert found[0] == pytest.approx(0.02)
    assert found[-1] < 1e-5


@pytest.mark.parametrize(("name", "expected"), [("adamw", 1.0 - 0.1 * 0.01), ("adam", 1.0 - 0.1)])
def test_weight_decay_is_apart_from_the_gradient_or_part_of_it(name: str, expected: float) -> None:
    """Without a gradient AdamW shrinks a weight by rate * decay; for Adam the decay is a gradient: one full step."""
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.zeros(1)
    build_optimizer(name, [weight], learning_rate=0.1, weight_decay=0.01).step()  # type: ignore[arg-type]
    assert float(weight.detach()) == pytest.approx(expected, abs=1e-5)
