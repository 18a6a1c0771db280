"""Recover from a run that was killed or interrupted: keep what it finished, put the rest back, set it to Crashed.

DVC deletes the outputs of a stage before it runs it, and rewrites dvc.lock in place after it. So a kill, a reboot or a
cancel leaves changes that nobody committed, perhaps half a dvc.lock, and outputs that DVC knows nothing of, over which
`dvc pull` stumbles. The next run must not need a person for that. DVC's run-cache alone would not do: it keeps no stage
whose outputs git tracks without being metrics or plots, and half a dvc.lock stops DVC before it looks there.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

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

from flows.dvc.batch_size import is_halved, params_file_of
from flows.dvc.pipeline import (
    LOCK,
    finished_stages,
    merge_locks,
    parse_lock,
    read_lock,
    read_stages,
    remove_unknown_outputs,
    write_lock,
)
from flows.git import repository
from flows.process.commands import Logger, checked, dvc
from flows.schedule.plan import Stage
from flows.site.clone import Holder
from stages.core.run.errors import UserError

UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]
WOULD_RUN = re.compile(r"Running stage '([^']+)'")


def mark_crashed(dead: Holder | None, logger: Logger) -> None:
    """Set the run of a holder that died, and its tasks, to Crashed; that also frees its place in the deployment.

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
        _mark_tasks_crashed(client, run.id, message)
    logger.warning("run %s is set to Crashed: %s", run.name, message)


def clean_up(clone: Path, logger: Logger) -> None:
    """Commit the stages that a killed run finished, and make all else as in the last commit.

    Raises:
        UserError: there are changes that no run can have made: nothing is touched.
    """
    changed = repository.changes(clone)
    if changed:
        stages = _stages(clone, lock_may_be_cut=LOCK in changed)
        halved = [path for path in changed if _was_halved(clone, path, stages)]
        recorded = {path for path in changed if any(_is_recorded(path, stage) for stage in stages.values())}
        repository.refuse_dirty(clone, but={LOCK, *halved, *recorded})
        finished = _keep_finished(clone) if LOCK in changed else []
        kept = [path for path in recorded if any(_is_recorded(path, stages[name]) for name in finished)]
        committed = [LOCK, *halved, *kept] if finished else halved
        repository.discard(clone, changed.keys() - set(committed))
        repository.commit(clone, committed, _message(finished, halved))
        logger.warning("a run before was interrupted; kept is what it finished: %s", ", ".join(finished) or "nothing")
    removed = remove_unknown_outputs(clone)
    if removed:
        logger.warning("a stage before did not finish; removed is what it wrote: %s", ", ".join(removed))


def stages_to_run(clone: Path) -> list[str]:
    """List stages that `dvc repro` would run if all that dvc.lock names were pulled; [] proves a run complete.

    To be asked at the end of a run: DVC's dry run stops with an error at a stage to run whose inputs are missing.

    Raises:
        UserError: DVC cannot read the pipeline.
    """
    output = checked(dvc("repro", "--allow-missing", "--dry"), folder=clone, doing="asking DVC which stages would run")
    return WOULD_RUN.findall(output)


def _mark_tasks_crashed(client: SyncPrefectClient, flow_run_id: UUID, message: str) -> None:
    unfinished = TaskRunFilter(
        flow_run_id=TaskRunFilterFlowRunId(any_=[flow_run_id]),
        state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED)),
    )
    for task_run in client.read_task_runs(task_run_filter=unfinished):
        client.set_task_run_state(task_run.id, Crashed(message=message), force=True)


def _stages(clone: Path, *, lock_may_be_cut: bool) -> Mapping[str, Stage]:
    """Read the stages; half a dvc.lock, which nobody can read, is given up for the committed one."""
    try:
        return read_stages(clone)
    except UserError:
        if not lock_may_be_cut:
            raise
        repository.discard(clone, [LOCK])
        return read_stages(clone)


def _is_recorded(path: str, stage: Stage) -> bool:
    """Return whether git keeps a path for the stage, itself or as part of a folder."""
    return any(Path(path).is_relative_to(recorded) for recorded in stage.recorded)


def _was_halved(clone: Path, path: str, stages: Mapping[str, Stage]) -> bool:
    """Return whether a params file differs from the committed one by halved batch sizes only."""
    params = {stage.batch_size for stage in stages.values() if stage.batch_size is not None}
    keys = sorted(param.rpartition(":")[2] for param in params if params_file_of(param) == path)
    if not keys or not (clone / path).is_file():
        return False
    before = repository.committed(clone, path)
    return before is not None and is_halved(before, (clone / path).read_text(encoding="utf-8"), keys)


def _keep_finished(clone: Path) -> list[str]:
    """Make dvc.lock the committed one with the finished stages' new entries, and return these stages.

    It may lack others, cut off. A stage is finished if its entry is new and its outputs are what the entry says.
    """
    now, before = read_lock(clone), parse_lock(repository.committed(clone, LOCK) or "")
    known = before.get("stages") or {}
    new = [name for name, entry in (now.get("stages") or {}).items() if entry != known.get(name)]
    finished = finished_stages(clone, new)
    merged = merge_locks(before, {"": now}, {"": finished})
    if merged != now and finished:
        write_lock(clone, merged)
    return finished


def _message(finished: Iterable[str], halved: Iterable[str]) -> str:
    subject = f"{repository.COMMIT_PREFIX}stages that an interrupted run had finished"
    return "\n".join([subject, "", *(f"{name}: ran" for name in finished), *(f"{path}: halved" for path in halved)])
