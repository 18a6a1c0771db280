"""Checks and how one is run: time, highest GPU memory, and what counts as a fault."""

import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.gpu.rows import Row
from stages.core.encoder.device import pick_device, seed_everything
from stages.core.training import optimisation

LOG = logging.getLogger(__name__)
LONGEST_REASON = 160  # characters in the table; the log has all of it


class Fault(Exception):
    """Something ran, and its result is wrong."""


@dataclass(frozen=True)
class Setting:
    """Where checks run, and whether with tiny networks and few images."""

    device: torch.device
    small: bool


@dataclass(frozen=True)
class Outcome:
    """Result of a check that ran.

    Attributes:
        values: what it computed: all must be finite, and there is at least one.
        seconds, per, note: see `Row`.
    """

    values: Sequence[Tensor]
    seconds: float | None = None
    per: str = ""
    note: str = ""


@dataclass(frozen=True)
class Check:
    """Something to run, and its name in the table."""

    what: str
    run: Callable[[Setting], Outcome]


def find_setting(*, small: bool) -> Setting:
    """Take the first GPU; without one the CPU, and small networks whatever was asked for."""
    device = pick_device()
    return Setting(device, small or device.type != "cuda")


def run_check(check: Check, setting: Setting) -> Row:
    """Run a check on a clean GPU with fixed seeds; whatever it raises becomes the reason of a fault."""
    cuda = setting.device.type == "cuda"
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        seed_everything(0)
        outcome = check.run(setting)
        synchronise(setting.device)
        refuse_unfinite(outcome.values)
    except Exception as error:  # of any library: each is the result of this check
        LOG.exception("%s", check.what)
        return Row(check.what, peak=highest_memory(setting.device), fault=reason_of(error))
    peak = highest_memory(setting.device)
    return Row(check.what, outcome.seconds, peak, outcome.note, None, outcome.per)


def highest_memory(device: torch.device) -> int | None:
    """Return the bytes that torch had allocated at most since the check began; None without a GPU."""
    return int(torch.cuda.max_memory_allocated()) if device.type == "cuda" else None


def reason_of(error: Exception) -> str:
    """Put an error into one line of the table."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of GPU memory"
    text = " ".join(str(error).replace("|", "/").split())
    text = text if isinstance(error, Fault) else f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} …"


def refuse_unfinite(values: Sequence[Tensor]) -> None:
    """Raise a Fault where a value is NaN or infinite, and ValueError where there is none to look at."""
    if not values or not all(value.numel() for value in values):
        raise ValueError("the check returned no value to look at")
    broken = sum(int((~value.isfinite()).sum()) for value in values)
    if broken:
        raise Fault(f"{broken} of {sum(value.numel() for value in values)} values are NaN or infinite")


def synchronise(device: torch.device) -> None:
    """Wait for what the GPU was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(action: Callable[[], object], setting: Setting, *, repeats: int, warm_up: int = 3) -> list[float]:
    """Time an action, each call by itself and to its end on the GPU; in small mode twice, after one call before.

    Args:
        action: what to time.
        setting: where it runs.
        repeats: timed calls.
        warm_up: calls before them, in which kernels are chosen and memory is reserved.
    """
    repeats, warm_up = (2, 1) if setting.small else (repeats, warm_up)
    found = []
    for number in range(warm_up + repeats):
        synchronise(setting.device)
        started = time.perf_counter()
        action()
        synchronise(setting.device)
        if number >= warm_up:
            found.append(time.perf_counter() - started)
    return found


def median_of(action: Callable[[], object], setting: Setting, *, repeats: int) -> float:
    """Return the median of `seconds_of`."""
    return statistics.median(seconds_of(action, setting, repeats=repeats))


def agree(ours: Tensor, theirs: Tensor, *, tolerance: float) -> str:
    """Compare two results, as a share of the largest absolute value, and return a note of how much they differ.

    Raises:
        Fault: by more than the tolerance, or their shapes differ.
    """
    if ours.shape != theirs.shape:
        raise Fault(f"shapes differ: {tuple(ours.shape)} and {tuple(theirs.shape)}")
    first, second = (values.detach().double().cpu() for values in (ours, theirs))
    difference = float((first - second).abs().max() / second.abs().max().clamp_min(torch.finfo(torch.float32).tiny))
    if not difference <= tolerance:
        raise Fault(f"differs by {difference:.1e} of the largest value, {tolerance:.2g} are allowed")
    return f"differs by {difference:.1e} of the largest value, allowed {tolerance:.2g}"


@dataclass
class StepClock:
    """Times the steps of a training from within the loop that all trainings share.

    Attributes:
        warm_up: steps before the clock starts.
        seconds: of a step, once the training has ended.
    """

    setting: Setting
    warm_up: int
    seconds: float = field(default=float("nan"))

    def follow(self, steps: Iterable[int], *, total: int, label: str) -> Iterator[int]:
        """Stand for `progress` in the loop: yield the steps, wait for the GPU before the first timed and at the end."""
        started, count = time.perf_counter(), 0
        for count, step in enumerate(steps):
            if count == self.warm_up:
                synchronise(self.setting.device)
                started = time.perf_counter()
            yield step
        synchronise(self.setting.device)
        timed = count + 1 - self.warm_up
        if timed < 1:
            raise ValueError(f"{label}: {total} steps are too few to time after {self.warm_up}")
        self.seconds = (time.perf_counter() - started) / timed


@contextmanager
def timed_steps(setting: Setting, *, warm_up: int) -> Iterator[StepClock]:
    """Yield a clock of the training that the block runs, by `stages.core.training.optimisation`."""
    clock = StepClock(setting, warm_up)
    with patch.object(optimisation, "progress", clock.follow):
        yield clock


def weights_of(*networks: nn.Module) -> list[Tensor]:
    """Return all floating-point parameters and buffers: what a training must leave finite."""
    return [value for network in networks for value in network.state_dict().values() if value.is_floating_point()]
