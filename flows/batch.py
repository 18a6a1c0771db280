"""Run a batch of stages with one call of DVC, and tell from its lines what became of each."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.commands import Finished, dvc, run
from flows.faults import Fault, fault_of
from flows.stop_switch import StopSwitch

BEGINS = re.compile(r"Running stage '([^']+)'")
UNCHANGED = re.compile(r"(?:Stage )?'([^']+)' didn't change, skipping")
CACHED = re.compile(r"Stage '([^']+)' is cached - skipping run")
FAILED = re.compile(r"failed to reproduce '([^']+)'")


@dataclass(frozen=True)
class StageResult:
    """What became of one stage: "ran", "cached" (its result was known), "unchanged" or "failed"."""

    state: str
    seconds: float


def both(earlier: Mapping[str, StageResult], later: Mapping[str, StageResult]) -> dict[str, StageResult]:
    """What became of stages in two calls: the later one counts, but one that ran is not "unchanged" after that."""
    ran = {name for name, result in earlier.items() if result.state in ("ran", "cached")}
    changes = {name: result for name, result in later.items() if not (result.state == "unchanged" and name in ran)}
    return {**earlier, **changes}


@dataclass(frozen=True)
class Outcome:
    """The stages of a batch that were reached, and the fault that ended it, if any."""

    results: Mapping[str, StageResult]
    fault: Fault | None

    def followed_by(self, later: "Outcome") -> "Outcome":
        """This call and a later one for the same stages as one."""
        return Outcome(both(self.results, later.results), later.fault)

    def names(self, *, failed: bool) -> set[str]:
        return {name for name, result in self.results.items() if (result.state == "failed") == failed}


@dataclass
class BatchLog:
    """Follows the lines of `dvc repro --single-item A B ...`."""

    limits: Mapping[str, float]  # stage -> seconds
    now: Callable[[], float] = time.monotonic
    states: dict[str, tuple[str, float]] = field(default_factory=dict)  # in order; with the time it was told
    failed: str | None = None

    def read(self, line: str) -> float | None:
        """Take one line; gives the time limit in seconds of a stage that begins with it."""
        for state, pattern in (("unchanged", UNCHANGED), ("cached", CACHED), ("ran", BEGINS)):
            match = pattern.search(line)
            if match and match[1] in self.limits:
                self.states[match[1]] = (state, self.now())
                return self.limits[match[1]]
        match = FAILED.search(line)
        if match and match[1] in self.limits:
            self.failed = match[1]
        return None

    def outcome(self, batch: Sequence[str], finished: Finished) -> Outcome:
        """What became of each stage. Of a broken off batch the stage that ran last counts as failed.

        Of one that succeeded all are done: of data sources and frozen stages DVC prints other lines.
        """
        fault = None
        if finished.code != 0 or finished.timed_out:
            reached = list(self.states)
            self.failed = self.failed or (reached[-1] if reached else batch[0])
            self.states.setdefault(self.failed, ("failed", self.now()))
            fault = fault_of(finished, doing=f"stage {self.failed}")
        else:
            for name in batch:
                self.states.setdefault(name, ("unchanged", self.now()))
        results, times = {}, [moment for _, moment in self.states.values()] + [self.now()]
        for number, (name, (state, _)) in enumerate(self.states.items()):
            state = "failed" if name == self.failed and fault else state
            results[name] = StageResult(state, times[number + 1] - times[number])
        return Outcome(results, fault)


def run_batch(
    batch: Sequence[str],
    *,
    clone: Path,
    limits: Mapping[str, float],
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    stop: StopSwitch,
) -> Outcome:
    """Reproduce the stages one after the other, each only if it is not up to date.

    Args:
        batch: names, each after those it needs.
        limits: seconds that each stage may take.
        environment: variables for the stages, such as the GPU they may see.

    Raises:
        Stopped: the run was broken off.
    """
    log = BatchLog(limits)
    finished = run(
        dvc("repro", "--single-item", *batch),
        folder=clone, on_line=on_line, timeout=limits[batch[0]] + 600, clock=log.read, environment=environment,
        stop=stop,
    )  # fmt: skip
    return log.outcome(batch, finished)
