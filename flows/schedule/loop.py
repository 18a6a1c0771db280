"""The scheduling loop: start what is ready while slots are free, wait for a batch to end, repeat. Knows no Prefect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flows.dvc.batch import Fault, Outcome, StageResult, merge_results
from flows.schedule.plan import Plan
from flows.schedule.progress import Progress, next_batch
from flows.site.slots import Slots


@dataclass(frozen=True)
class Batch:
    """Stages that one call of DVC runs in one slot."""

    stages: tuple[str, ...]
    resource: str


@dataclass
class Report:
    """Results, faults and remarks of a run."""

    results: dict[str, StageResult] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)  # need a failed stage
    remarks: list[str] = field(default_factory=list)

    @property
    def ran(self) -> list[str]:
        """Stages that ran, or whose result DVC knew."""
        return [name for name, result in self.results.items() if result.state in ("ran", "cached")]

    def followed_by(self, later: "Report") -> "Report":
        """Merge this run and a later one of the same clone."""
        results = merge_results(self.results, later.results)
        return Report(results, later.faults, later.skipped, [*self.remarks, *later.remarks])


@dataclass(frozen=True)
class Executor:
    """The actions that the loop takes: Prefect's in a flow, made-up ones in tests.

    Attributes:
        start: begin a batch in the background.
        wait: block until any batch has ended.
        halve: halve a param; returns the remark for the report, or None if it cannot be halved further.
    """

    start: Callable[[Batch], None]
    wait: Callable[[], tuple[Batch, Outcome]]
    halve: Callable[[str], str | None]


def run_schedule(plan: Plan, slots: Slots, executor: Executor) -> Report:
    """Run the plan. A failed stage holds back what needs it, and nothing else."""
    progress, report = Progress(plan), Report()
    busy: list[Batch] = []
    while True:
        _release(progress, report, executor)
        _fill(progress, slots, busy, executor.start)
        if not busy:
            break
        batch, outcome = executor.wait()
        busy.remove(batch)
        report.results.update(outcome.results)
        _take(progress, report, batch.stages, outcome)
    report.skipped = sorted(progress.skipped)
    return report


def _fill(progress: Progress, slots: Slots, busy: list[Batch], start: Callable[[Batch], None]) -> None:
    """Start batches until no slot is free or nothing is ready."""
    for resource in ("gpu", "cpu"):
        while free := slots.of(resource) - sum(batch.resource == resource for batch in busy):
            names = next_batch(progress, resource, free=free)
            if not names:
                break
            progress.start(names)
            busy.append(Batch(tuple(names), resource))
            start(busy[-1])


def _take(progress: Progress, report: Report, batch: Sequence[str], outcome: Outcome) -> None:
    """Record a finished batch; a stage without enough GPU memory that allows it waits for half its batch size."""
    done, failed = outcome.names(failed=False), outcome.names(failed=True)
    for name in set(failed):
        param = progress.plan.stages[name].batch_size
        first = name not in report.faults
        if outcome.fault is not None:
            report.faults[name] = outcome.fault
            if outcome.fault.kind == "gpu_memory" and param is not None and first:
                failed.discard(name)
                progress.hold(name, param)
    for name in done:
        report.faults.pop(name, None)
    progress.finish(batch, done=done, failed=failed)


def _release(progress: Progress, report: Report, executor: Executor) -> None:
    """Halve the batch size of held stages once no running stage reads it: DVC records params at a stage's end."""
    while names := progress.releasable():
        param = progress.held[names[0]]
        stages = sorted(name for name in names if progress.held[name] == param)
        remark = executor.halve(param)
        for name in stages:
            del progress.held[name]
        if remark is None:
            progress.finish([], done=[], failed=stages)
        else:
            report.remarks.append(f"{', '.join(stages)}: out of GPU memory, {remark}")
