"""How far a run has come: what is ready, running, done, failed, and what can no longer run."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from flows.plan import Plan, Stage, with_followers


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
        """Neither started nor given up."""
        return self.plan.stages.keys() - self.running - self.done - self.failed - self.skipped

    def ready(self, also_done: Collection[str] = ()) -> list[Stage]:
        """Stages that may start once `also_done` are done, most urgent first."""
        waiting = (self.pending | self.running) - set(also_done)
        names = [
            name
            for name in self.pending - set(also_done)
            if not self.plan.stages[name].needs & (waiting | self.failed | self.skipped) and not self._is_held(name)
        ]
        return [self.plan.stages[name] for name in sorted(names, key=lambda name: (-self.plan.priority[name], name))]

    def start(self, batch: Sequence[str]) -> None:
        self.running.update(batch)

    def finish(self, batch: Sequence[str], *, done: Collection[str], failed: Collection[str]) -> None:
        """Of a batch, some stages are done and some failed; the rest were not reached and wait again."""
        self.running -= set(batch)
        self.done |= set(done)
        self.failed |= set(failed)
        self.skipped |= with_followers(self.plan.stages, self.failed) - self.failed - self.done

    def hold(self, stage: str, param: str) -> None:
        """The stage waits until no running stage reads the param; none that reads it is started meanwhile."""
        self.held[stage] = param

    def releasable(self) -> list[str]:
        """Held stages whose param no running stage reads."""
        return [
            stage
            for stage, param in self.held.items()
            if not any(reads(self.plan.stages[name], param) for name in self.running)
        ]

    def _is_held(self, name: str) -> bool:
        return any(reads(self.plan.stages[name], param) for param in self.held.values())


def reads(stage: Stage, param: str) -> bool:
    """Whether a param is among the stage's, itself or as part of a section."""
    return any(param == key or param.startswith(f"{key}.") for key in stage.params)
