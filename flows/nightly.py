"""Flow `nightly`: update, pull, reproduce, record, push, compare with the baseline, publish, judge."""

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.clone import clone_folder
from flows.clone_lock import hold_clone
from flows.janitor import bury
from flows.leftovers import tidy
from flows.night import Night, close, pull, raise_if_rejected, telling_of_errors, update
from flows.reproduce import TASK_RUNNER, slots_of
from flows.run_stages import Settings, reproduce_clone
from flows.summary import headline
from flows.worker_bond import die_with_worker


@flow(name="nightly", task_runner=TASK_RUNNER, persist_result=False)
def nightly(
    branch: str = "main",
    git_remote: str | None = None,
    push_git: bool = False,
    dvc_remote: str | None = None,
    baseline: str = "baseline",
    tolerance: float = 2.0,
    files_address: str | None = None,
    cpu_slots: int | None = None,
    gpu_slots: int | None = None,
    stage_timeout_minutes: float = 720,
    retries: int = 2,
    retry_delay_seconds: float = 60,
) -> str:
    """A scheduled run. What it made is committed and pushed even if it does not pass; the tag moves only if it does.

    Args:
        branch: is brought up to date and committed to.
        git_remote: where the branch comes from; None leaves it as it is in the clone.
        push_git: whether to push the branch and the tag there.
        dvc_remote: by name; None for the clone's default one.
        baseline: the tag that marks the last run that passed; the first complete run sets it.
        tolerance: percentage points that a metric may lose even significantly.
        files_address: where this repository's files are served, for pictures too large for the page.

    Raises:
        UserError: the clone is held, has changes that no broken off run left or cannot be updated, or the update wants
            other packages.
        RunRejected: a stage or the push failed, or metrics dropped or are missing.
    """
    logger, clone = get_run_logger(), clone_folder()
    night = Night(
        clone, branch, git_remote, push_git, dvc_remote, baseline, tolerance, files_address, retries,
        retry_delay_seconds,
    )  # fmt: skip
    die_with_worker()
    with telling_of_errors(clone), hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        settings = Settings(clone, slots_of(cpu_slots, gpu_slots), stage_timeout_minutes, retries, retry_delay_seconds)
        bury(dead, logger)
        tidy(clone, logger)
        update(night, logger)
        has_remote = pull(night, logger)
        report = reproduce_clone(settings, [], logger)
        verdict = close(night, report, has_remote=has_remote, logger=logger)
    raise_if_rejected(verdict)
    return headline(report)
