"""The runs of a distributed run's parts: wait for them, give up those whose worker is gone, clean up after both."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from flows.git_parts import delete_branches
from flows.git_transfer import TRYING, Trying, list_references
from flows.run_stages import Logger

POLL_SECONDS = 2.0
PREFIX = "oddpart-parts"  # of the branches: PREFIX/RUN/PART


@dataclass(frozen=True)
class Limits:
    """After how many minutes a part is given up.

    Attributes:
        running: since a worker began it; waiting for a free worker does not count.
        queued: since any part of the run was last at work: then no worker is there to begin those that wait.
    """

    running: float
    queued: float


def wait_for(
    runs: Mapping[str, UUID],
    limits: Limits,
    logger: Logger,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, State[Any]]:
    """Wait until every part has ended; one over its limit is set to Crashed. Gives the final states.

    The clock is this machine's, from when it sees a part begun: those of workers may be wrong.
    """
    states, begun, at_work = dict[str, State[Any]](), dict[str, float](), now()
    with get_client(sync_client=True) as client:
        while len(states) < len(runs):
            for part in runs.keys() - states.keys():
                run = client.read_flow_run(runs[part])
                if run.state is not None and run.state.is_final():
                    states[part], at_work = run.state, now()
                    logger.info("part %s: %s", part, run.state.name)
                elif run.start_time is not None:
                    begun.setdefault(part, now())
                    at_work = now()
            for part in runs.keys() - states.keys():
                if lost := _lost(now(), begun.get(part), at_work, limits):
                    client.set_flow_run_state(runs[part], Crashed(message=lost), force=True)
            sleep(POLL_SECONDS)
    return states


def _lost(now: float, begun: float | None, at_work: float, limits: Limits) -> str | None:
    """Why a part is given up, or None."""
    if begun is not None and now - begun > 60 * limits.running:
        return (
            f"no end {limits.running:g} minutes after it began: its worker is gone, or part_timeout_minutes too short"
        )
    if begun is None and now - at_work > 60 * limits.queued:
        return f"no worker began it, and none was at work for {limits.queued:g} minutes (queue_timeout_minutes)"
    return None


def delete_left_over(clone: Path, remote: str, logger: Logger, *, trying: Trying = TRYING) -> None:
    """Delete the branches of runs that are over: a killed coordinator leaves them, and a part that answers too late."""
    runs = {name.split("/")[3] for name in list_references(clone, remote, f"refs/heads/{PREFIX}/*", trying=trying)}
    if not runs:
        return
    with get_client(sync_client=True) as client:
        over = {run: _is_over(client, run) for run in sorted(runs)}
    for run, known in over.items():
        if known is None:  # perhaps another server's, and at work
            logger.warning("branches %s/%s/* on %s: this server knows no such run, they stay", PREFIX, run, remote)
        elif known:
            logger.info("deleting the branches that run %s left on %s", run, remote)
            delete_branches(clone, remote, f"{PREFIX}/{run}", trying=trying)


def _is_over(client: SyncPrefectClient, run: str) -> bool | None:
    """Whether a run has ended; None if the server does not know it."""
    try:
        state = client.read_flow_run(UUID(run)).state
    except (ObjectNotFound, ValueError):
        return None
    return state is not None and state.is_final()
