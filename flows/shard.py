"""Flow `shard`: one worker's share of a distributed run, in the worker's own clone."""

from collections.abc import Sequence

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.dvc.pipeline import LOCK, read_pipeline
from flows.dvc.remote import pull, push
from flows.git import repository
from flows.git.preflight import preflight
from flows.git.remote import push_commit, switch_to
from flows.process.commands import RetryPolicy
from flows.publish.report import commit_message, headline, raise_for_faults
from flows.schedule.loop import Report
from flows.schedule.run_stages import TASK_RUNNER, Settings, reproduce_clone, slots_of
from flows.site.clone import clone_folder, hold_clone
from flows.site.packages import refuse_other_packages
from flows.site.recovery import clean_up, mark_crashed
from stages.core.run.parent import die_with_worker


@flow(name="shard", task_runner=TASK_RUNNER, persist_result=False)
def shard(
    commit: str,
    stages: list[str],
    answer: str,
    git_remote: str = "origin",
    dvc_remote: str | None = None,
    cpu_slots: int | None = None,
    gpu_slots: int | None = None,
    stage_timeout_minutes: float = 720,
    retries: int = 2,
    retry_delay_seconds: float = 60,
) -> str:
    """Reproduce some stages of a commit, push their outputs, and answer with a branch.

    Args:
        commit: what the coordinator works on; it must be on the git remote.
        stages: this worker's share; what they need is pulled, or made if nobody has it.
        answer: the branch to push, with the finished stages' share of dvc.lock, their metrics and costs. It is pushed
            last: when it is there, everything is.
        git_remote: where the commit comes from and the answer goes.
        dvc_remote: by name; None for the clone's default one.
        cpu_slots: stages on the CPU at once; None for one per core.
        gpu_slots: stages on GPUs at once; None for one per GPU, and a single one where there is no GPU.
        stage_timeout_minutes: after which a stage is stopped, unless dvc.yaml says otherwise (meta.timeout_minutes).
        retries: how often a stage or a transfer is tried again after a transient fault (network, locks).
        retry_delay_seconds: between two tries.

    Raises:
        UserError: the clone is held or has changes that no interrupted run left, the commit wants other packages, a
            stage failed, or a remote did not answer. What is finished was pushed.
    """
    logger, clone = get_run_logger(), clone_folder()
    settings = Settings(
        clone, slots_of(cpu_slots, gpu_slots), stage_timeout_minutes, retries, retry_delay_seconds,
        halving=False,  # the other workers continue with the param as it is in the commit
    )  # fmt: skip
    retry = RetryPolicy(retries, retry_delay_seconds, logger.warning)
    die_with_worker()
    with hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        mark_crashed(dead, logger)
        preflight(clone, logger, remote=git_remote, commit=commit, answer=answer)
        clean_up(clone, logger)
        switch_to(clone, commit, git_remote, retry=retry)
        refuse_other_packages(clone)
        pull(clone, dvc_remote, ["--with-deps", *stages], retry=retry)
        report = reproduce_clone(settings, stages, logger)
        finished = commit_finished(settings, report)
        push(clone, dvc_remote, finished, retry=retry)
        push_commit(clone, git_remote, answer, "HEAD", retry=retry)
    raise_for_faults(report)
    return headline(report)


def commit_finished(settings: Settings, report: Report) -> Sequence[str]:
    """Commit what finished stages made, put back all else, and return the finished stages."""
    clone, known = settings.clone, read_pipeline(settings.clone).stages
    finished = [name for name, result in report.results.items() if result.state != "failed"]
    repository.restore(clone, [path for name in known.keys() - set(finished) for path in known[name].recorded])
    recorded = [path for name in finished for path in known[name].recorded]
    repository.commit(clone, [LOCK, *recorded], commit_message(report))
    return finished
