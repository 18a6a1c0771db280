"""Follow how far a run has come, and choose which stages the next call of DVC runs.

A call costs about two seconds, so short stages share one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from flows.schedule.plan import Plan, Stage, with_followers

SHORT_SECONDS = 20.0  # a call's two seconds are at most 10 % of a stage that is not short


@dataclass
class Progress:
    """The state of a run; changed by the scheduling loop alone."""

    plan: Plan
    running: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)  # they need a stage that failed
    held: dict[str, str] = field(default_factory=dict)  # out of GPU memory: to run again once nothing reads that param

    @property
    def pending(self) -> set[str]:
        """Stages that were neither started nor given up."""
        return self.plan.stages.keys() - self.running - self.done - self.failed - self.skipped

    def ready(self, also_done: Collection[str] = ()) -> list[Stage]:
        """List stages that may start once `also_done` are done, most urgent first."""
        waiting = (self.pending | self.running) - set(also_done)
        names = [
            name
            for name in self.pending - set(also_done)
            if not self.plan.stages[name].needs & (waiting | self.failed | self.skipped) and not self._is_held(name)
        ]
        return [self.plan.stages[name] for name in sorted(names, key=lambda name: (-self.plan.priority[name], name))]

    def start(self, batch: Sequence[str]) -> None:
        """Count stages as running."""
        self.running.update(batch)

    def finish(self, batch: Sequence[str], *, done: Collection[str], failed: Collection[str]) -> None:
        """Count stages of a batch as done or failed; the rest were not reached and wait again."""
        self.running -= set(batch)
        self.done |= set(done)
        self.failed |= set(failed)
        self.skipped |= with_followers(self.plan.stages, self.failed) - self.failed - self.done

    def hold(self, stage: str, param: str) -> None:
        """Let a stage wait until no running stage reads the param; none that reads it is started meanwhile."""
        self.held[stage] = param

    def releasable(self) -> list[str]:
        """List held stages whose param no running stage reads."""
        return [
            stage
            for stage, param in self.held.items()
            if not any(reads(self.plan.stages[name], param) for name in self.running)
        ]

    def _is_held(self, name: str) -> bool:
        return any(reads(self.plan.stages[name], param) for param in self.held.values())


def reads(stage: Stage, param: str) -> bool:
    """Return whether a param is among the stage's, itself or as part of a section."""
    return any(param == key or param.startswith(f"{key}.") for key in stage.params)


def next_batch(progress: Progress, resource: str, *, free: int) -> list[str]:
    """Choose stages for one free slot, in the order in which to run them; none where none is ready.

    The most urgent ready stage; if it is short, followed by other short ones until they fill SHORT_SECONDS together:
    first those that only wait for stages of this batch, then others that are ready, but of these not more than
    leaves the other free slots an equal share. A batch ends before that when its stages let a long one start.

    Args:
        resource: "cpu" or "gpu".
        free: free slots of that resource, at least 1.
    """
    ready = [stage for stage in progress.ready() if stage.resource == resource]
    if not ready:
        return []
    batch = [ready[0]]
    share = sum(stage.expected_seconds for stage in ready if is_short(stage)) / free
    while is_short(batch[-1]) and (seconds := sum(stage.expected_seconds for stage in batch)) < SHORT_SECONDS:
        enabled = _enabled_by(progress, batch)
        if any(not is_short(stage) for stage in enabled):
            break
        more = [stage for stage in enabled if stage.resource == resource]
        if seconds < share:
            more += [stage for stage in ready if stage not in batch]
        chosen = next((stage for stage in more if is_short(stage)), None)
        if chosen is None:
            break
        batch.append(chosen)
    return [stage.name for stage in batch]


def is_short(stage: Stage) -> bool:
    """Return whether the stage is known to be short; one that never ran may be long."""
    return stage.seconds is not None and stage.seconds < SHORT_SECONDS


def _enabled_by(progress: Progress, batch: Sequence[Stage]) -> list[Stage]:
    """List stages that can start only when the batch is done, most urgent first."""
    names: Collection[str] = {stage.name for stage in batch}
    return [stage for stage in progress.ready(also_done=names) if stage.needs & set(names)]
