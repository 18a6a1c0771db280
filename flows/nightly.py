"""Flow `nightly`: update, pull, reproduce, record, push, compare with the baseline, publish, judge."""

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.git.preflight import preflight
from flows.publish.report import headline
from flows.schedule.run_stages import TASK_RUNNER, Settings, reproduce_clone, slots_of
from flows.schedule.scheduled_run import RunOptions, close, emit_rejected_on_error, pull, raise_if_rejected, update
from flows.site.clone import clone_folder, hold_clone
from flows.site.recovery import clean_up, mark_crashed
from stages.core.run.parent import die_with_worker


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
    """Make a scheduled run. What it made is committed even if it does not pass; the tag moves only if it does.

    Args:
        branch: is brought up to date and committed to.
        git_remote: where the branch comes from; None leaves it as it is in the clone.
        push_git: whether to push the branch and the tag there.
        dvc_remote: by name; None for the clone's default one.
        baseline: the tag that marks the last run that passed; the first complete run sets it.
        tolerance: percentage points that a metric may lose even significantly.
        files_address: where this repository's files are served, for pictures too large for the page.
        cpu_slots: stages on the CPU at once; None for one per core.
        gpu_slots: stages on GPUs at once; None for one per GPU, and a single one where there is no GPU.
        stage_timeout_minutes: after which a stage is stopped, unless dvc.yaml says otherwise (meta.timeout_minutes).
        retries: how often a stage or a transfer is tried again after a transient fault (network, locks).
        retry_delay_seconds: between two tries.

    Raises:
        UserError: the clone is held, has changes that no interrupted run left or cannot be updated, or the update
            wants other packages.
        RunRejected: a stage or the push failed, or metrics dropped or are missing.
    """
    logger, clone = get_run_logger(), clone_folder()
    options = RunOptions(
        clone=clone, branch=branch, git_remote=git_remote, push_git=push_git, dvc_remote=dvc_remote, baseline=baseline,
        tolerance=tolerance, files_address=files_address, retries=retries, retry_delay_seconds=retry_delay_seconds,
    )  # fmt: skip
    die_with_worker()
    with emit_rejected_on_error(clone), hold_clone(clone, flow_run_id=str(flow_run.id)) as dead:
        settings = Settings(clone, slots_of(cpu_slots, gpu_slots), stage_timeout_minutes, retries, retry_delay_seconds)
        mark_crashed(dead, logger)
        preflight(clone, logger, remote=git_remote, branch=branch, baseline=baseline)
        clean_up(clone, logger)
        update(options, logger)
        has_remote = pull(options, logger)
        report = reproduce_clone(settings, [], logger)
        verdict = close(options, report, has_remote=has_remote, logger=logger)
    raise_if_rejected(verdict)
    return headline(report)
