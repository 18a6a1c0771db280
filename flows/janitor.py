"""Runs whose process was killed stay "Running" in Prefect for good. Here they are found and set to Crashed."""

import logging
from typing import Any
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    TaskRunFilter,
    TaskRunFilterFlowRunId,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from flows.clone import clone_folder
from flows.clone_lock import Holder, dead_holder

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]


def bury(dead: Holder | None, logger: logging.Logger | logging.LoggerAdapter[Any]) -> None:
    """Set the run of a holder that died, and its tasks, to Crashed; that also gives its place in the deployment back.

    Whether it died is known from its lock, which only the kernel could have freed: Prefect cannot know.
    """
    if dead is None or dead.flow_run_id is None:
        return
    with get_client(sync_client=True) as client:
        try:
            run = client.read_flow_run(UUID(dead.flow_run_id))
        except ObjectNotFound:  # of another server, or deleted there
            return
        if run.state is None or run.state.is_final():
            return
        message = f"its process {dead.process} on {dead.host} was killed; found by the lock that it no longer held"
        client.set_flow_run_state(run.id, Crashed(message=message), force=True)
        _bury_tasks(client, run.id, message)
    logger.warning("run %s is set to Crashed: %s", run.name, message)


def _bury_tasks(client: SyncPrefectClient, flow_run_id: UUID, message: str) -> None:
    unfinished = TaskRunFilter(
        flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]),
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED)),
    )
    for task_run in client.read_task_runs(task_run_filter=unfinished):
        client.set_task_run_state(task_run.id, Crashed(message=message), force=True)


@flow(name="janitor", persist_result=False)
def janitor() -> None:
    """Look after the clone: needed beside the runs' own look, as a dead run may keep new ones from starting."""
    bury(dead_holder(clone_folder()), get_run_logger())
