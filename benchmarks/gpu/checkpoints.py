"""A training that is killed on the GPU and continued from its checkpoint ends with the weights of one that was not."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.gpu.measure import Check, Fault, Outcome, Setting, weights_of
from stages.core.encoder.device import mixed_precision
from stages.core.training.optimisation import CHECKPOINT_SECONDS, Terms, optimise

STEPS, KILLED_IN = 12, 7


class Killed(Exception):
    """Stands for the end of the process."""


def checks(setting: Setting) -> list[Check]:
    """List the one check."""
    return [Check("training killed and continued = not killed", check_continued)]


def check_continued(setting: Setting) -> Outcome:
    """Train the same network twice, once killed after a checkpoint of every step; both must end alike.

    The network draws from the GPU's generator (dropout), whose state is part of a checkpoint.
    """
    whole = new_network(setting)
    train(whole, setting, checkpoint=Path("whole.pt"), killed=False)
    continued, killed = new_network(setting), new_network(setting)
    try:
        train(killed, setting, checkpoint=Path("killed.pt"), killed=True)
    except Killed:
        torch.manual_seed(1)  # a new process would draw something else, too
        train(continued, setting, checkpoint=Path("killed.pt"), killed=False)
    else:
        raise Fault("the training was not killed")
    ends = [torch.cat([value.flatten() for value in weights_of(network)]) for network in (whole, continued)]
    if not torch.equal(*ends):
        raise Fault(f"the weights differ by up to {float((ends[0] - ends[1]).abs().max()):.1e}")
    return Outcome(ends, note="equal to the last bit")


def new_network(setting: Setting) -> nn.Module:
    """Build a small network with batch statistics and dropout; its weights and all draws after are always the same."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(16, 4, 1)
    )
    return network.to(setting.device).to(memory_format=torch.channels_last)


def train(network: nn.Module, setting: Setting, *, checkpoint: Path, killed: bool) -> None:
    """Run the loop of all trainings, with a checkpoint after every step.

    Raises:
        Killed: in a step in the middle, where it was asked for.
    """
    generator = torch.Generator().manual_seed(1)

    def batches() -> Iterator[tuple[int, Tensor]]:
        for step in range(1, STEPS + 1):
            yield step, torch.rand(4, 3, 32, 32, generator=generator)

    def terms_of(batch: tuple[int, Tensor]) -> Terms:
        step, images = batch
        if killed and step == KILLED_IN:
            raise Killed
        with mixed_precision(setting.device):
            found = network(images.to(setting.device))
        return {"error": (found.float() - 1).square().mean()}

    with patch.dict(os.environ, {CHECKPOINT_SECONDS: "0"}):
        optimise(
            network, batches(), terms_of, weights={"error": 1.0}, iterations=STEPS, optimizer="adamw",
            schedule="one_cycle", learning_rate=0.01, weight_decay=0.0, label="small network", checkpoint=checkpoint,
        )  # fmt: skip
