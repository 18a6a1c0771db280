"""Flow `distribute`: a scheduled run whose work is shared out by products to several workers.

Every worker of the pool oddpart-parts has a clone of its own; all share one DVC remote and one git remote. The
coordinator puts their parts of dvc.lock together, runs what reads several products, and proves with DVC that nothing
is left.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.runtime import flow_run

from flows import dvc_remote, git, git_parts
from flows.batch import StageResult
from flows.clone import clone_folder
from flows.clone_lock import hold_clone
from flows.faults import Fault
from flows.git_transfer import Trying
from flows.janitor import bury
from flows.left import left_to_do
from flows.leftovers import tidy
from flows.night import Night, close, raise_if_rejected, record, telling_of_errors, update
from flows.part_runs import PREFIX, Limits, delete_left_over, wait_for
from flows.parts import Shares, merge_locks, share_out
from flows.pipeline import parse_lock, read_lock, read_pipeline, write_lock
from flows.reproduce import TASK_RUNNER, slots_of
from flows.run_stages import Logger, Settings, reproduce_clone
from flows.schedule import Report
from flows.summary import headline
from flows.worker_bond import die_with_worker
from stages.core.run.errors import UserError

DEPLOYMENT = "part/part"


@flow(name="distribute", task_runner=TASK_RUNNER, persist_result=False)
def distribute(
    branch: str = "main",
    git_remote: str = "origin",
    push_git: bool = True,
    dvc_remote_name: str | None = None,
    baseline: str = "baseline",
    tolerance: float = 2.0,
    files_address: str | None = None,
    part_timeout_minutes: float = 720,
    queue_timeout_minutes: float = 120,
    retries: int = 2,
    retry_delay_seconds: float = 60,
) -> str:
    """As `nightly`, on several machines.

    Args:
        git_remote: where the workers' clones come from, too; parts come back as branches below oddpart-parts/.
        part_timeout_minutes: after which a part that was begun counts as lost, with its worker.
        queue_timeout_minutes: after which parts that wait count as lost if no part was at work for so long.

    Raises:
        UserError: the clone is held or dirty, or there is no DVC remote.
        RunRejected: a part failed or something is left to do; all that is finished is recorded.
    """
    logger, clone = get_run_logger(), clone_folder()
    night = Night(
        clone, branch, git_remote, push_git, dvc_remote_name, baseline, tolerance, files_address, retries,
        retry_delay_seconds,
    )  # fmt: skip
    die_with_worker()
    with telling_of_errors(clone), hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        settings = Settings(clone, slots_of(None, None), part_timeout_minutes, retries, retry_delay_seconds)
        bury(dead, logger)
        tidy(clone, logger)
        if not dvc_remote.has_remote(clone, dvc_remote_name):
            raise UserError(f"{clone} has no DVC remote, through which workers could share data: `dvc remote add`")
        update(night, logger)
        delete_left_over(clone, git_remote, logger, trying=night.trying(logger))
        pipeline = read_pipeline(clone, data_elsewhere=True)
        shares = share_out(pipeline.stages, pipeline.changed)
        logger.info("parts: %s", {part: len(names) for part, names in shares.parts.items()} or "nothing to do")
        prefix = f"{PREFIX}/{flow_run.id}"
        limits = Limits(part_timeout_minutes, queue_timeout_minutes)
        report = run_shares(night, settings, shares, prefix, limits, logger)
        verdict = close(night, report, has_remote=True, logger=logger)
        trying = night.trying(logger)
        git_parts.delete_branches(clone, git_remote, prefix, trying=trying)  # not before their content is committed
    raise_if_rejected(verdict)
    return headline(report)


def run_shares(night: Night, settings: Settings, shares: Shares, prefix: str, limits: Limits, logger: Logger) -> Report:
    """Stages of no product here, those of one product on workers, those of several here; then ask what is left."""
    report = Report()
    if shares.first:
        report = reproduce_clone(settings, shares.first, logger, needs=False)
        record(night, report)
        retrying = dvc_remote.push.with_options(retries=night.retries, retry_delay_seconds=night.retry_delay_seconds)
        retrying(night.clone, night.dvc_remote)
    if shares.parts and not report.faults:
        states = wait_for(start_parts(night, shares, prefix, night.trying(logger)), limits, logger)
        report = report.followed_by(gather(night, shares, prefix, states))
    if shares.last and not report.faults:
        needed = {name for last in shares.last for name in read_pipeline(night.clone).stages[last].needs}
        pulling = dvc_remote.pull.with_options(retries=night.retries, retry_delay_seconds=night.retry_delay_seconds)
        pulling(night.clone, night.dvc_remote, sorted(needed - set(shares.last)))
        report = report.followed_by(reproduce_clone(settings, shares.last, logger, needs=False))
    left = sorted(read_pipeline(night.clone, data_elsewhere=True).changed) or left_to_do(night.clone)
    if left and not report.faults:
        report.faults["dvc.lock"] = Fault("left", f"the parts do not make a whole, DVC would still run {left}")
    return report


def start_parts(night: Night, shares: Shares, prefix: str, trying: Trying) -> dict[str, UUID]:
    """Start a run for each part, in whichever worker of the pool is free."""
    commit = git.revision(night.clone, "HEAD")
    git_parts.show_commit(night.clone, str(night.git_remote), f"{prefix}/base", commit, trying=trying)
    started = {}
    for part, names in shares.parts.items():
        parameters = {
            "commit": commit, "stages": list(names), "answer": f"{prefix}/{part}", "git_remote": night.git_remote,
            "dvc_remote_name": night.dvc_remote, "retries": night.retries,
            "retry_delay_seconds": night.retry_delay_seconds,
        }  # fmt: skip
        run = run_deployment(DEPLOYMENT, parameters=parameters, timeout=0, flow_run_name=f"part {part}")
        started[part] = cast(FlowRun, run).id
    return started


def gather(night: Night, shares: Shares, prefix: str, states: Mapping[str, State[Any]]) -> Report:
    """Take over dvc.lock and metrics of every part that answered; also of one that failed half-way."""
    report, locks = Report(), {}
    for part, names in shares.parts.items():
        if not states[part].is_completed():
            message = f"part {part}: {states[part].message or states[part].name}"
            report.faults[part] = Fault("part", message)
        if not git_parts.fetch_answer(night.clone, str(night.git_remote), f"{prefix}/{part}"):
            continue
        locks[part] = parse_lock(git_parts.file_at(night.clone, "FETCH_HEAD", "dvc.lock"))
        stages = read_pipeline(night.clone).stages
        git_parts.take(night.clone, "FETCH_HEAD", [path for name in names for path in stages[name].recorded])
    base = read_lock(night.clone)
    merged = merge_locks(base, locks, shares.parts)
    write_lock(night.clone, merged)
    before = base.get("stages") or {}
    new = [name for name, entry in merged["stages"].items() if entry != before.get(name)]
    report.results.update({name: StageResult("ran", 0.0) for name in new})
    recorded = {path for stage in read_pipeline(night.clone).stages.values() for path in stage.recorded}
    answered = [merged["stages"].get(name, {}) for part in locks for name in shares.parts[part]]
    remove_outputs(night.clone, {out["path"] for entry in answered for out in entry.get("outs", [])} - recorded)
    return report


def remove_outputs(clone: Path, paths: Iterable[str]) -> None:
    """Delete outputs of the version before: the new ones are on the DVC remote, and are pulled when they are needed."""
    for path in sorted(paths):
        if (clone / path).is_dir():
            shutil.rmtree(clone / path)
        else:
            (clone / path).unlink(missing_ok=True)
