"""Flow `distribute`: a scheduled run whose work is divided by products among several workers.

Every worker of the pool oddpart-shards has a clone of its own; all share one DVC remote and one git remote. The
coordinator merges their shards of dvc.lock, runs what reads several products, and proves with DVC that nothing
remains to be done.
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

from flows.dvc import remote as data
from flows.dvc.batch import Fault, StageResult
from flows.dvc.pipeline import LOCK, merge_locks, read_lock, read_pipeline, write_lock
from flows.git import repository
from flows.git.preflight import preflight
from flows.git.remote import delete_branches, fetch_branch, push_commit
from flows.process.commands import Logger
from flows.publish.report import headline
from flows.schedule.loop import Report
from flows.schedule.run_stages import TASK_RUNNER, Settings, reproduce_clone, slots_of
from flows.schedule.scheduled_run import RunOptions, close, emit_rejected_on_error, raise_if_rejected, record, update
from flows.schedule.shards import PREFIX, Division, Limits, delete_old_branches, divide, read_answer, wait_for
from flows.site.clone import clone_folder, hold_clone
from flows.site.recovery import clean_up, mark_crashed, stages_to_run
from stages.core.run.errors import UserError
from stages.core.run.parent import die_with_worker

DEPLOYMENT = "shard/shard"


@flow(name="distribute", task_runner=TASK_RUNNER, persist_result=False)
def distribute(
    branch: str = "main",
    git_remote: str = "origin",
    push_git: bool = True,
    dvc_remote: str | None = None,
    baseline: str = "baseline",
    tolerance: float = 2.0,
    files_address: str | None = None,
    shard_timeout_minutes: float = 720,
    queue_timeout_minutes: float = 120,
    retries: int = 2,
    retry_delay_seconds: float = 60,
) -> str:
    """Make a scheduled run like `nightly`, on several machines.

    Args:
        branch: is brought up to date and committed to.
        git_remote: where the branch and the workers' clones come from; shards come back as branches below
            oddpart-shards/.
        push_git: whether to push the branch and the tag there.
        dvc_remote: by name; None for the clone's default one.
        baseline: the tag that marks the last run that passed; the first complete run sets it.
        tolerance: percentage points that a metric may lose even significantly.
        files_address: where this repository's files are served, for pictures too large for the page.
        shard_timeout_minutes: after which a shard that was begun counts as lost, with its worker.
        queue_timeout_minutes: after which shards that wait count as lost if no shard was at work for so long.
        retries: how often a stage or a transfer is tried again after a transient fault (network, locks).
        retry_delay_seconds: between two tries.

    Raises:
        UserError: the clone is held or dirty, or there is no DVC remote.
        RunRejected: a shard failed or something remains to be done; all that is finished is recorded.
    """
    logger, clone = get_run_logger(), clone_folder()
    options = RunOptions(
        clone=clone, branch=branch, git_remote=git_remote, push_git=push_git, dvc_remote=dvc_remote, baseline=baseline,
        tolerance=tolerance, files_address=files_address, retries=retries, retry_delay_seconds=retry_delay_seconds,
    )  # fmt: skip
    die_with_worker()
    with emit_rejected_on_error(clone), hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        settings = Settings(clone, slots_of(None, None), shard_timeout_minutes, retries, retry_delay_seconds)
        mark_crashed(dead, logger)
        preflight(clone, logger, remote=git_remote, branch=branch, baseline=baseline)
        clean_up(clone, logger)
        if not data.has_remote(clone, dvc_remote):
            raise UserError(f"{clone} has no DVC remote, through which workers could share data: `dvc remote add`")
        update(options, logger)
        delete_old_branches(clone, git_remote, logger, retry=options.retry(logger))
        prefix = f"{PREFIX}/{flow_run.id}"
        limits = Limits(shard_timeout_minutes, queue_timeout_minutes)
        report = run_division(options, settings, prefix, limits, logger)
        verdict = close(options, report, has_remote=True, logger=logger)
        # Not before their content is committed.
        delete_branches(clone, git_remote, prefix, retry=options.retry(logger))
    raise_if_rejected(verdict)
    return headline(report)


def run_division(options: RunOptions, settings: Settings, prefix: str, limits: Limits, logger: Logger) -> Report:
    """Run stages of no product here, those of one product on workers, those of several here; then check the whole."""
    clone, retry = options.clone, options.retry(logger)
    pipeline = read_pipeline(clone, data_elsewhere=True)
    division = divide(pipeline.stages, pipeline.changed)
    logger.info("shards: %s", {shard: len(names) for shard, names in division.shards.items()} or "nothing to do")
    report = Report()
    if division.first:
        report = reproduce_clone(settings, division.first, logger, needs=False)
        record(options, report)
        data.push(clone, options.dvc_remote, retry=retry)
    if division.shards and not report.faults:
        states = wait_for(start_shards(options, division, prefix, logger), limits, logger)
        report = report.followed_by(gather(options, division, prefix, states))
    if division.last and not report.faults:
        needed = {name for last in division.last for name in read_pipeline(clone).stages[last].needs}
        data.pull(clone, options.dvc_remote, sorted(needed - set(division.last)), retry=retry)
        report = report.followed_by(reproduce_clone(settings, division.last, logger, needs=False))
    remaining = sorted(read_pipeline(clone, data_elsewhere=True).changed) or stages_to_run(clone)
    if remaining and not report.faults:
        report.faults[LOCK] = Fault("incomplete", f"the shards do not make a whole, DVC would still run {remaining}")
    return report


def start_shards(options: RunOptions, division: Division, prefix: str, logger: Logger) -> dict[str, UUID]:
    """Start a run for each shard, in whichever worker of the pool is free."""
    commit = repository.revision(options.clone, "HEAD")
    push_commit(options.clone, str(options.git_remote), f"{prefix}/base", commit, retry=options.retry(logger))
    started = {}
    for shard, names in division.shards.items():
        parameters = {
            "commit": commit, "stages": list(names), "answer": f"{prefix}/{shard}", "git_remote": options.git_remote,
            "dvc_remote": options.dvc_remote, "retries": options.retries,
            "retry_delay_seconds": options.retry_delay_seconds,
        }  # fmt: skip
        run = run_deployment(DEPLOYMENT, parameters=parameters, timeout=0, flow_run_name=f"shard {shard}")
        started[shard] = cast(FlowRun, run).id
    return started


def gather(options: RunOptions, division: Division, prefix: str, states: Mapping[str, State[Any]]) -> Report:
    """Take over dvc.lock, metrics and costs of every shard that answered; also of one that failed half-way.

    A worker is not trusted with paths: an answer that names others than its stages' outputs is refused as a whole.
    """
    clone, report, locks = options.clone, Report(), {}
    for shard, names in division.shards.items():
        if not states[shard].is_completed():
            message = f"shard {shard}: {states[shard].message or states[shard].name}"
            report.faults[shard] = Fault("shard", message)
        if not fetch_branch(clone, str(options.git_remote), f"{prefix}/{shard}"):
            continue
        stages = read_pipeline(clone).stages
        try:
            locks[shard] = read_answer(repository.file_at(clone, "FETCH_HEAD", LOCK), names, stages)
        except UserError as error:
            report.faults[shard] = Fault("shard", f"shard {shard} is refused: {error}")
            continue
        repository.take_files(clone, "FETCH_HEAD", [path for name in names for path in stages[name].recorded])
    base = read_lock(clone)
    merged = merge_locks(base, locks, division.shards)
    write_lock(clone, merged)
    before = base.get("stages") or {}
    new = [name for name, entry in merged["stages"].items() if entry != before.get(name)]
    report.results.update({name: StageResult("ran", 0.0) for name in new})
    recorded = {path for stage in read_pipeline(clone).stages.values() for path in stage.recorded}
    answered = [merged["stages"].get(name, {}) for shard in locks for name in division.shards[shard]]
    remove_outputs(clone, {out["path"] for entry in answered for out in entry.get("outs", [])} - recorded)
    return report


def remove_outputs(clone: Path, paths: Iterable[str]) -> None:
    """Delete outputs of the version before: the new ones are on the DVC remote, and are pulled when they are needed."""
    for path in sorted(paths):
        if (clone / path).is_dir():
            shutil.rmtree(clone / path)
        else:
            (clone / path).unlink(missing_ok=True)
