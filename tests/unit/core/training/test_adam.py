"""The optimiser and its learning rates by hand, and against torch's."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from stages.core.training.adam import Adam, ScheduleName, build_optimizer, build_schedule


def rates(schedule: ScheduleName, iterations: int) -> list[float]:
    """The learning rate of each iteration, peak 0.5."""
    optimizer = build_optimizer("adamw", [nn.Parameter(torch.zeros(1))], learning_rate=0.5, weight_decay=0.0)
    built = build_schedule(schedule, optimizer, learning_rate=0.5, iterations=iterations)
    found = []
    for _ in range(iterations):
        found.append(optimizer.rate)
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


@pytest.mark.parametrize("iterations", [1, 3, 25])
def test_a_training_is_that_of_torch_to_the_last_bit(iterations: int) -> None:
    """Also a training of so few iterations that the rate never rises, and with a parameter that has no gradient."""
    ours, theirs = ([nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)), nn.Parameter(torch.ones(2))] for _ in range(2))
    adam = build_optimizer("adamw", ours, learning_rate=0.03, weight_decay=0.1)
    course = build_schedule("one_cycle", adam, learning_rate=0.03, iterations=iterations)
    theirs_adam = torch.optim.AdamW(theirs, lr=0.03, weight_decay=0.1, fused=True)
    theirs_course = torch.optim.lr_scheduler.OneCycleLR(theirs_adam, 0.03, total_steps=iterations)
    for step in range(iterations):
        for weights, optimizer in ((ours, adam), (theirs, theirs_adam)):
            optimizer.zero_grad()
            loss(weights[0], step).backward()
            optimizer.step()
        course.step()
        if step + 1 < iterations:
            theirs_course.step()
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], torch.ones(2))


def loss(weights: Tensor, step: int) -> Tensor:
    """A loss whose gradient is another one in each step."""
    return ((weights - 0.1 * step) ** 2).sum() + weights[step % 3].prod()


def test_a_restored_optimiser_continues_as_if_nothing_had_happened() -> None:
    whole, first = (nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4)) for _ in range(2))
    straight = trained(whole, range(6))
    stopped = trained(first, range(3))
    later = nn.Parameter(first.detach().clone())
    adam = Adam([later], rate=0.1, weight_decay=0.01, decoupled=True)
    adam.load_state_dict(stopped.state_dict())
    trained(later, range(3, 6), adam)
    assert torch.equal(whole, later)
    assert torch.equal(straight.means[0], adam.means[0])


def trained(weights: nn.Parameter, steps: range, adam: Adam | None = None) -> Adam:
    """Train for some steps."""
    adam = adam or Adam([weights], rate=0.1, weight_decay=0.01, decoupled=True)
    for step in steps:
        adam.zero_grad()
        loss(weights, step).backward()
        adam.step()
    return adam


def test_a_training_does_not_import_the_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from stages.core.training.adam import build_optimizer, build_schedule\n"
        "weight = torch.nn.Parameter(torch.ones(2))\n"
        "adam = build_optimizer('adamw', [weight], learning_rate=0.1, weight_decay=0.0)\n"
        "course = build_schedule('one_cycle', adam, learning_rate=0.1, iterations=3)\n"
        "adam.zero_grad(); weight.sum().backward(); adam.step(); course.step()\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
