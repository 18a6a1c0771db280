"""Run a batch of stages with one call of DVC, and read from its lines what became of each and why one failed."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.process.cancel import CancelToken
from flows.process.commands import Finished, dvc, run

BEGINS = re.compile(r"Running stage '([^']+)'")
UNCHANGED = re.compile(r"(?:Stage )?'([^']+)' didn't change, skipping")
CACHED = re.compile(r"Stage '([^']+)' is cached - skipping run")
FAILED = re.compile(r"failed to reproduce '([^']+)'")


@dataclass(frozen=True)
class Fault:
    """What went wrong in a call, in words for the user, and what to do."""

    kind: str
    message: str
    transient: bool = False


# The first that matches counts. GPU memory is no transient fault: the same batch does not fit a second time either.
KINDS = (
    ("gpu_memory", r"CUDA out of memory|torch\.OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED", False,
     "the GPU's memory did not suffice: use a smaller batch_size, or fewer gpu_slots on the same GPU"),
    ("disk_full", r"No space left on device|\[Errno 28\]|Disk quota exceeded", False,
     "the disk is full: free some space (`dvc push --all-commits` where there is a remote, then `dvc gc --all-commits`,"
     " which deletes from the cache what no commit of this clone names)"),
    ("locked", r"Unable to acquire lock|is busy, it is being blocked by", True,
     "another DVC process holds this clone"),
    ("network", r"Could not connect|ConnectionError|Connection (?:refused|reset|aborted|timed out)|ConnectTimeout"
     r"|Temporary failure in name resolution|Name or service not known|Network is unreachable|RemoteDisconnected"
     r"|Cannot connect to host|Max retries exceeded|EndpointConnectionError"
     r"|timed? ?out\b.*\b(?:read|connect|https?|s3|ssh)\b"
     r"|Service ?Unavailable|SlowDown|error occurred \(50[234]\)|\b(?:HTTP|status)\b\W*(?:\w+\W+){0,2}50[234]\b"
     r"|\b50[234] (?:Server Error|Bad Gateway|Gateway Time-?out)", True,
     "the network or the remote did not answer"),
    ("killed", r"exited with -9\b|exited with 137\b|^(?-i:(?:.*: +\d+ )?Killed)(?:$| {2})", False,
     "the stage was killed, probably because the machine's memory ran out (see `dmesg`): use fewer slots"),
)  # fmt: skip


def fault_of(finished: Finished, *, doing: str) -> Fault:
    """Return the fault of a call that failed, with the lines in which DVC or the stage says what was wrong."""
    if finished.timed_out:
        return Fault("timeout", f"{doing}: stopped, it took longer than its limit (stage_timeout_minutes)")
    begins = [number for number, line in enumerate(finished.tail) if line.startswith("Running stage")]
    lines = finished.tail[begins[-1] if begins else 0 :]  # what stages before it said in the same call is not its fault
    said = " / ".join(_error_lines(lines))
    for kind, pattern, transient, remedy in KINDS:
        if re.search(pattern, "\n".join(lines), re.IGNORECASE | re.MULTILINE):
            return Fault(kind, f"{doing}: {remedy}; it says: {said}", transient)
    return Fault("failed", f"{doing} failed with code {finished.code}; it says: {said}")


def _error_lines(lines: tuple[str, ...]) -> list[str]:
    """Choose lines that report an error, and the two before DVC's own: a stage's last words need not say "error"."""
    own = next((number for number, line in enumerate(lines) if "failed to reproduce" in line), len(lines))
    chosen = [
        line.strip()
        for number, line in enumerate(lines)
        if re.search(r"\b(?:\w*error|failed|fatal)\b", line, re.IGNORECASE) or own - 2 <= number < own
    ]
    return [line for line in chosen if not line.startswith(("> ", "Running stage"))][-5:]


@dataclass(frozen=True)
class StageResult:
    """The state of one stage after a call: "ran", "cached" (its result was known), "unchanged" or "failed"."""

    state: str
    seconds: float


def merge_results(earlier: Mapping[str, StageResult], later: Mapping[str, StageResult]) -> dict[str, StageResult]:
    """Merge the results of two calls: the later one counts, but a stage that ran is not "unchanged" after that."""
    ran = {name for name, result in earlier.items() if result.state in ("ran", "cached")}
    changes = {name: result for name, result in later.items() if not (result.state == "unchanged" and name in ran)}
    return {**earlier, **changes}


@dataclass(frozen=True)
class Outcome:
    """The stages of a batch that were reached, and the fault that ended it, if any."""

    results: Mapping[str, StageResult]
    fault: Fault | None

    def followed_by(self, later: "Outcome") -> "Outcome":
        """Merge this call and a later one for the same stages."""
        return Outcome(merge_results(self.results, later.results), later.fault)

    def names(self, *, failed: bool) -> set[str]:
        """Return the stages that failed, or those that did not."""
        return {name for name, result in self.results.items() if (result.state == "failed") == failed}


@dataclass
class BatchLog:
    """A follower of the lines of `dvc repro --single-item A B ...`."""

    limits: Mapping[str, float]  # stage -> seconds
    now: Callable[[], float] = time.monotonic
    states: dict[str, tuple[str, float]] = field(default_factory=dict)  # in order; with the time of DVC's line
    failed: str | None = None

    def read(self, line: str) -> float | None:
        """Read one line; return the time limit in seconds of a stage that begins with it."""
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
        """Return what became of each stage.

        Of an interrupted batch the stage that ran last counts as failed. Of one that succeeded all are done: of data
        sources and frozen stages DVC prints other lines.
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
    token: CancelToken,
) -> Outcome:
    """Reproduce the stages one after the other, each only if it is not up to date.

    Args:
        batch: names, each after those it needs.
        limits: seconds that each stage may take.
        environment: variables for the stages, such as the GPU they may see.

    Raises:
        Cancelled: the run was interrupted.
    """
    log = BatchLog(limits)
    finished = run(
        dvc("repro", "--single-item", *batch),
        folder=clone, on_line=on_line, timeout=limits[batch[0]] + 600, clock=log.read, environment=environment,
        token=token,
    )  # fmt: skip
    return log.outcome(batch, finished)
