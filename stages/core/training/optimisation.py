"""The training loop that all networks share; an interrupted run continues from its last checkpoint."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from stages.core.run.console import progress
from stages.core.training.adam import Adam, OptimizerName, Schedule, ScheduleName, build_optimizer, build_schedule
from stages.core.training.checkpoints import State, load_checkpoint, remove_old_checkpoints, save_checkpoint
from stages.core.training.curve import TrainingCurve

LOG = logging.getLogger(__name__)
REPORTS = 4  # log lines of a training
CHECKPOINT_SECONDS = "ODDPART_CHECKPOINT_SECONDS"  # a matter of the machine, not of the result: no parameter
SECONDS_BETWEEN_CHECKPOINTS = 20.0
Terms = dict[str, Float[Tensor, ""]]
Batch = TypeVar("Batch")


def optimise(
    network: nn.Module,
    batches: Iterator[Batch],
    terms_of: Callable[[Batch], Terms],
    *,
    weights: Mapping[str, float],
    iterations: int,
    optimizer: OptimizerName,
    schedule: ScheduleName,
    learning_rate: float,
    weight_decay: float,
    label: str,
    checkpoint: Path,
) -> pd.DataFrame:
    """Minimise the weighted sum of the loss terms, in place.

    The last iteration's weights stay; none is chosen by any score. A training that was killed continues from its
    last checkpoint and ends with the weights of an uninterrupted one, on a CPU to the last bit.

    Args:
        network: all that is trained, buffers included.
        batches: what iteration 1, 2, ... works on; the only source of randomness but torch's global generators.
        terms_of: the loss terms of a batch by name, with graph.
        weights: of the terms.
        iterations: of the whole training.
        optimizer: see `build_optimizer`.
        schedule: of the learning rate, see `build_schedule`.
        learning_rate: the peak.
        weight_decay: see `build_optimizer`.
        label: of the progress bar and the log lines.
        checkpoint: from `stages.core.training.checkpoints.checkpoint_file`.

    Returns:
        The course of the terms, see `stages.core.training.curve.TrainingCurve.table`.
    """
    steps = build_optimizer(optimizer, network.parameters(), learning_rate=learning_rate, weight_decay=weight_decay)
    rate = build_schedule(schedule, steps, learning_rate=learning_rate, iterations=iterations)
    return minimise(
        network, batches, terms_of, optimizer=steps, schedule=rate, weights=weights, iterations=iterations,
        label=label, checkpoint=checkpoint,
    )  # fmt: skip


def minimise(
    network: nn.Module,
    batches: Iterator[Batch],
    terms_of: Callable[[Batch], Terms],
    *,
    optimizer: Adam | torch.optim.Optimizer,
    schedule: Schedule | torch.optim.lr_scheduler.LRScheduler,
    weights: Mapping[str, float],
    iterations: int,
    label: str,
    checkpoint: Path,
) -> pd.DataFrame:
    """Minimise as `optimise` does, with an optimiser and a schedule of the learning rate of one's own.

    Args:
        optimizer: of the network's parameters.
        schedule: of that optimiser; ConstantLR with factor 1 where there is none.
    """
    curve = TrainingCurve(weights, iterations=iterations)
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule, "curve": curve}
    remove_old_checkpoints()
    state = load_checkpoint(checkpoint)
    done = 0 if state is None else int(state["done"])
    for _ in range(done):
        next(batches)
    if state is not None:
        restore(parts, state)
        LOG.info("%s: continuing after iteration %d of an interrupted run", label, done)
    between = float(os.environ.get(CHECKPOINT_SECONDS, SECONDS_BETWEEN_CHECKPOINTS))
    saved_at = time.monotonic()
    for step in progress(range(done + 1, iterations + 1), total=iterations - done, label=label):
        terms = terms_of(next(batches))
        optimizer.zero_grad()
        torch.stack([weights[name] * term for name, term in terms.items()]).sum().backward()
        optimizer.step()
        schedule.step()
        curve.add(step, terms)
        if step % max(1, iterations // REPORTS) == 0:
            values = ", ".join(f"{name} {float(term.detach()):.4f}" for name, term in terms.items())
            LOG.info("%s, iteration %d: %s", label, step, values)
        if time.monotonic() - saved_at >= between:
            save_checkpoint(checkpoint, snapshot(parts, step))
            saved_at = time.monotonic()
    checkpoint.unlink(missing_ok=True)
    return curve.table()


def snapshot(parts: Mapping[str, object], done: int) -> State:
    """Collect all that the iterations after `done` depend on, but the batches."""
    states = {name: part.state_dict() for name, part in parts.items()}  # type: ignore[attr-defined]
    random = {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}
    return {**states, "random": random, "done": done}


def restore(parts: Mapping[str, object], state: State) -> None:
    """Undo `snapshot`, in place."""
    for name, part in parts.items():
        part.load_state_dict(state[name])  # type: ignore[attr-defined]
    torch.set_rng_state(state["random"]["cpu"])
    torch.cuda.set_rng_state_all(state["random"]["cuda"])
