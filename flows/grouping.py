"""Which stages one call of DVC runs: a call costs about two seconds, so short stages share one."""

from collections.abc import Collection, Sequence

from flows.plan import Stage
from flows.progress import Progress

SHORT_SECONDS = 20.0  # a call's two seconds are at most 10 % of a stage that is not short


def next_batch(progress: Progress, resource: str, *, free: int) -> list[str]:
    """Stages for one free slot, in the order in which to run them; empty where none is ready.

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
    """Known to be short; a stage that never ran may be long."""
    return stage.seconds is not None and stage.seconds < SHORT_SECONDS


def _enabled_by(progress: Progress, batch: Sequence[Stage]) -> list[Stage]:
    """Stages that can start only when the batch is done, most urgent first."""
    names: Collection[str] = {stage.name for stage in batch}
    return [stage for stage in progress.ready(also_done=names) if stage.needs & set(names)]
