"""Plan what has to run, and in which order. Knows neither DVC nor Prefect."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stages.core.run.errors import UserError

UNKNOWN_SECONDS = 300.0  # for the order only: a stage that never ran is taken for a long one


@dataclass(frozen=True)
class Stage:
    """One stage instance of dvc.yaml.

    Attributes:
        name: as DVC calls it, "segmentation@pin_tray".
        resource: "cpu" or "gpu".
        needs: stages whose outputs it reads.
        seconds: of its last run; None where that is not known.
        recorded: what git keeps of it, as paths in the repository: its outputs with `cache: false` (files or folders),
            and the file with what it cost.
        outputs: all that DVC knows of what it writes, as paths in the repository.
        params: the keys that it reads, dotted; "profiles/paper.yaml:a.b" where they are not in params.yaml.
        batch_size: the key, likewise, that may be halved when the GPU's memory does not suffice, or None.
        timeout_minutes: its own limit, or None.
    """

    name: str
    resource: str = "cpu"
    needs: frozenset[str] = frozenset()
    seconds: float | None = None
    recorded: tuple[str, ...] = ()
    outputs: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    batch_size: str | None = None
    timeout_minutes: float | None = None

    @property
    def expected_seconds(self) -> float:
        """The seconds of its last run, or a guess."""
        return UNKNOWN_SECONDS if self.seconds is None else self.seconds


@dataclass(frozen=True)
class Plan:
    """The stages to run; `needs` may also name stages that are up to date."""

    stages: Mapping[str, Stage]
    priority: Mapping[str, float]  # seconds of the longest way from the stage's start to the end of the run


def make_plan(
    pipeline: Mapping[str, Stage], changed: Iterable[str], targets: Sequence[str] = (), *, needs: bool = True
) -> Plan:
    """Plan changed stages and all that depend on them; with targets, only these and what they need.

    A descendant whose inputs come out as before is called all the same, and DVC skips it in a second.

    Args:
        targets: stages by name, or all instances of one: "segmentation" stands for "segmentation@...".
        needs: whether what the targets need is planned with them.

    Raises:
        UserError: a target is no stage.
    """
    wanted = chosen(pipeline, targets) if targets else set(pipeline)
    wanted = with_needs(pipeline, wanted) if needs else wanted
    follow: set[str] = set()
    for name in in_order(pipeline):
        if name in set(changed) or pipeline[name].needs & follow:
            follow.add(name)
    stages = {name: pipeline[name] for name in in_order(pipeline) if name in follow & wanted}
    return Plan(stages, longest_ways(stages))


def chosen(pipeline: Mapping[str, Stage], targets: Sequence[str]) -> set[str]:
    """Return the stages that the targets name.

    Raises:
        UserError: a target is no stage.
    """
    found: set[str] = set()
    for target in targets:
        matching = {name for name in pipeline if name == target or name.startswith(f"{target}@")}
        if not matching:
            groups = sorted({name.partition("@")[0] for name in pipeline})
            raise UserError(f"target {target!r} is no stage of dvc.yaml; there are {', '.join(groups)}")
        found |= matching
    return found


def with_needs(pipeline: Mapping[str, Stage], names: Iterable[str]) -> set[str]:
    """Return the stages and all that they depend on."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += pipeline[name].needs & pipeline.keys()
    return found


def with_followers(stages: Mapping[str, Stage], names: Iterable[str]) -> set[str]:
    """Return the stages and all that depend on them."""
    found = set(names)
    for name in in_order(stages):
        if stages[name].needs & found:
            found.add(name)
    return found


def in_order(stages: Mapping[str, Stage]) -> list[str]:
    """Sort every stage after those it needs; of several, the alphabetically first."""
    done: dict[str, None] = {}
    remaining = set(stages)
    while remaining:
        ready = sorted(name for name in remaining if not stages[name].needs & remaining)
        if not ready:
            raise UserError(f"the stages {sorted(remaining)} depend on each other in a circle: correct dvc.yaml")
        done.update(dict.fromkeys(ready))
        remaining -= set(ready)
    return list(done)


def longest_ways(stages: Mapping[str, Stage]) -> dict[str, float]:
    """Return the seconds from each stage's start to the end of the run, were there a slot for every stage.

    Started in this order, the critical path waits least (critical-path list scheduling: Graham, "Bounds on
    multiprocessing timing anomalies", SIAM Journal on Applied Mathematics 17, 1969).
    """
    ways = dict.fromkeys(stages, 0.0)
    for name in reversed(in_order(stages)):
        ways[name] += stages[name].expected_seconds
        for needed in stages[name].needs & stages.keys():
            ways[needed] = max(ways[needed], ways[name])
    return ways
