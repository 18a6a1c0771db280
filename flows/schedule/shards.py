"""Divide a distributed run into shards, one a product; wait for their runs, and give up those whose worker is gone."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from flows.dvc.pipeline import parse_lock
from flows.git.remote import delete_branches, list_references
from flows.process.commands import Logger, RetryPolicy
from flows.schedule.plan import Stage, in_order, make_plan
from stages.core.run.errors import UserError

POLL_SECONDS = 2.0
PREFIX = "oddpart-shards"  # of the branches: PREFIX/RUN/SHARD
PRODUCTS = "categories"  # the section of params.yaml with a key for every product


@dataclass(frozen=True)
class Division:
    """Stages to run: those of no product, which come first; those of one product; those that read several."""

    first: tuple[str, ...]
    shards: Mapping[str, tuple[str, ...]]
    last: tuple[str, ...]


def divide(stages: Mapping[str, Stage], changed: Iterable[str]) -> Division:
    """Divide the changed stages, and all that depend on them, by products.

    A stage belongs to the products whose params it or a stage before it reads. So the stages of one product are
    connected, and no worker waits for another one.
    """
    products = products_of(stages)
    planned = make_plan(stages, changed).stages
    shards = sorted({product for name in planned if len(products[name]) == 1 for product in products[name]})
    return Division(
        tuple(name for name in planned if not products[name]),
        {shard: tuple(name for name in planned if products[name] == {shard}) for shard in shards},
        tuple(name for name in planned if len(products[name]) > 1),
    )


def products_of(stages: Mapping[str, Stage]) -> dict[str, set[str]]:
    """Return the products that each stage reads, directly or through the stages before it."""
    keys = {
        name: {key.split(".")[1] for key in stage.params if key.startswith(f"{PRODUCTS}.")}
        for name, stage in stages.items()
    }
    every: set[str] = set().union(*keys.values())
    for name in in_order(stages):
        if PRODUCTS in stages[name].params:
            keys[name] = set(every)
        for needed in stages[name].needs & stages.keys():
            keys[name] |= keys[needed]
    return keys


@dataclass(frozen=True)
class Limits:
    """The minutes after which a shard is given up.

    Attributes:
        running: since a worker began it; waiting for a free worker does not count.
        queued: since any shard of the run was last at work: then no worker is there to begin those that wait.
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
    """Wait until every shard has ended; one over its limit is set to Crashed. Return the final states.

    The clock is this machine's, from when it sees a shard begun: those of workers may be wrong.
    """
    states, begun, at_work = dict[str, State[Any]](), dict[str, float](), now()
    with get_client(sync_client=True) as client:
        while len(states) < len(runs):
            for shard in runs.keys() - states.keys():
                run = client.read_flow_run(runs[shard])
                if run.state is not None and run.state.is_final():
                    states[shard], at_work = run.state, now()
                    logger.info("shard %s: %s", shard, run.state.name)
                elif run.start_time is not None:
                    begun.setdefault(shard, now())
                    at_work = now()
            for shard in runs.keys() - states.keys():
                if lost := _lost(now(), begun.get(shard), at_work, limits):
                    client.set_flow_run_state(runs[shard], Crashed(message=lost), force=True)
            sleep(POLL_SECONDS)
    return states


def _lost(now: float, begun: float | None, at_work: float, limits: Limits) -> str | None:
    """Return why a shard is given up, or None."""
    if begun is not None and now - begun > 60 * limits.running:
        return (
            f"no end {limits.running:g} minutes after it began: its worker is gone, or shard_timeout_minutes too short"
        )
    if begun is None and now - at_work > 60 * limits.queued:
        return f"no worker began it, and none was at work for {limits.queued:g} minutes (queue_timeout_minutes)"
    return None


def read_answer(text: str, names: Iterable[str], stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Parse the dvc.lock of a worker; it may speak of its own stages' outputs only, as others would be deleted here.

    Args:
        names: the stages of the shard.
        stages: of this clone's dvc.yaml.

    Raises:
        UserError: it is no dvc.lock, or names a path that is no output of its stage.
    """
    try:
        lock = parse_lock(text)
        entries = dict(lock.get("stages") or {})
        named = {
            name: {str(out["path"]) for out in entries[name].get("outs") or []} for name in names if name in entries
        }
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"its dvc.lock cannot be read ({type(error).__name__}): {error}") from None
    for name, paths in named.items():
        if foreign := sorted(paths - stages[name].outputs):
            raise UserError(f"its dvc.lock names paths that are no outputs of {name} in dvc.yaml: {foreign}")
    return lock


def delete_old_branches(clone: Path, remote: str, logger: Logger, *, retry: RetryPolicy) -> None:
    """Delete the branches of runs that are over: of a killed coordinator, or of a shard that answered too late."""
    runs = {name.split("/")[3] for name in list_references(clone, remote, f"refs/heads/{PREFIX}/*", retry=retry)}
    if not runs:
        return
    with get_client(sync_client=True) as client:
        over = {run: _is_over(client, run) for run in sorted(runs)}
    for run, known in over.items():
        if known is None:  # perhaps another server's, and at work
            logger.warning("branches %s/%s/* on %s: this server knows no such run, they stay", PREFIX, run, remote)
        elif known:
            logger.info("deleting the branches that run %s left on %s", run, remote)
            delete_branches(clone, remote, f"{PREFIX}/{run}", retry=retry)


def _is_over(client: SyncPrefectClient, run: str) -> bool | None:
    """Return whether a run has ended; None if the server does not know it."""
    try:
        state = client.read_flow_run(UUID(run)).state
    except (ObjectNotFound, ValueError):
        return None
    return state is not None and state.is_final()
