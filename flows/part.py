"""Flow `part`: one worker's share of a distributed run, in the worker's own clone."""

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows import dvc_remote, git, git_transfer
from flows.clone import clone_folder
from flows.clone_lock import hold_clone
from flows.git_parts import switch_to
from flows.janitor import bury
from flows.leftovers import tidy
from flows.packages import refuse_other_packages
from flows.pipeline import read_pipeline
from flows.reproduce import TASK_RUNNER, slots_of
from flows.run_stages import Settings, reproduce_clone
from flows.summary import commit_message, headline, raise_for_faults
from flows.worker_bond import die_with_worker


@flow(name="part", task_runner=TASK_RUNNER, persist_result=False)
def part(
    commit: str,
    stages: list[str],
    answer: str,
    git_remote: str = "origin",
    dvc_remote_name: str | None = None,
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
        answer: the branch to push, with the finished stages' part of dvc.lock and their metrics. It is pushed last:
            when it is there, everything is.

    Raises:
        UserError: the clone is held or has changes that no broken off run left, the commit wants other packages, a
            stage failed, or a remote did not answer. What is finished was pushed.
    """
    logger, clone = get_run_logger(), clone_folder()
    settings = Settings(
        clone, slots_of(cpu_slots, gpu_slots), stage_timeout_minutes, retries, retry_delay_seconds,
        halving=False,  # the other workers go on with the param as it is in the commit
    )  # fmt: skip
    pull = dvc_remote.pull.with_options(retries=retries, retry_delay_seconds=retry_delay_seconds)
    push = dvc_remote.push.with_options(retries=retries, retry_delay_seconds=retry_delay_seconds)
    trying = git_transfer.Trying(retries, retry_delay_seconds, logger.warning)
    die_with_worker()
    with hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        bury(dead, logger)
        tidy(clone, logger)
        switch_to(clone, commit, git_remote, trying=trying)
        refuse_other_packages(clone)
        pull(clone, dvc_remote_name, ["--with-deps", *stages])
        report = reproduce_clone(settings, stages, logger)
        finished = [name for name, result in report.results.items() if result.state != "failed"]
        known = read_pipeline(clone).stages
        git.restore(clone, [path for name in known.keys() - set(finished) for path in known[name].recorded])
        recorded = [path for name in finished for path in known[name].recorded]
        git.commit(clone, ["dvc.lock", *recorded], commit_message(report))
        push(clone, dvc_remote_name, finished)
        git_transfer.push(clone, git_remote, f"+HEAD:refs/heads/{answer}", trying=trying)
    raise_for_faults(report)
    return headline(report)
